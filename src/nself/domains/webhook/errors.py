"""What can go wrong with webhooks."""

from __future__ import annotations

from nself.core.errors import Conflict, Denied, Invalid, NotFound, Unavailable


class ReceiverAway(Unavailable):
    code, guide = "receiver_away", "6.1.1"
    text = "{url} does not answer: {detail}"
    hints = ("nself status http", "nself restart billing")


class UnreadableWebhook(Invalid):
    code, guide = "webhook_unreadable", "6.1"
    text = "Invalid webhook body: {detail}"
    hints = ("nself billing webhook failures --last 100",)


class ProcessingTooLong(Unavailable):
    code, guide = "webhook_timeout", "6.3.3"
    text = "Processing took longer than WEBHOOK_TIMEOUT ({limit:g} s): {detail}"
    hints = ("nself billing webhook show-timing", "nself env set WEBHOOK_TIMEOUT=30s")


class NoSuchEvent(NotFound):
    code, guide = "no_such_event", "6.2"
    text = "No such event: {event}"
    hints = ("nself billing webhook events", "nself billing webhook status")


class OfOtherMode(NotFound):
    code, guide = "no_such_event", "6.2"
    text = "Event {event} is not processed here: it is not of {mode} mode"
    hints = ("nself billing webhook show-idempotency {event}", "nself env get STRIPE_MODE")


class NoEventsOf(NotFound):
    code, guide = "no_such_event", "6.4"
    text = "No event and no change of {object} is known here"
    hints = ("nself billing webhook events", "nself billing webhook status")


class NothingToReplay(Invalid):
    code, guide = "missing_parameter", "6.3"
    text = "Name an event, or --status with --since"
    hints = ("nself billing webhook replay --status failed --since 24h", "nself billing webhook failures")


class NotPublic(Invalid):
    code, param, guide = "invalid_url", "url", "6.1"
    text = "{url}: {detail}"
    hints = ("nself billing webhook update-url https://yourapp.com/webhooks/stripe",)


class NoEndpoint(NotFound):
    code, guide = "no_such_endpoint", "6.1"
    text = "No endpoint at Stripe is ours"
    hints = (
        "nself billing webhook list-endpoints",
        "nself billing webhook update-url https://yourapp.com/webhooks/stripe",
    )


class SecretElsewhere(Conflict):
    code, guide = "secret_from_environment", "1.2"
    text = "STRIPE_WEBHOOK_SECRET comes from {origin}, which this command cannot change: another one stored here would not be used"
    hints = ("nself env get STRIPE_WEBHOOK_SECRET",)


class EndpointsBusy(Conflict):
    code, guide = "endpoints_busy", "1.2"
    text = "Somebody else is changing the endpoint or its secret at this moment"
    hints = ("nself billing webhook list-endpoints", "nself billing webhook show-secret")


class SecretNotTaken(Conflict):
    code, guide = "secret_not_taken", "1.2"
    text = (
        "The service refuses events that are signed with the new secret (HTTP {status}): the old endpoint {old} stays, "
        "and both secrets are stored"
    )
    hints = ("nself restart billing", "nself billing webhook rotate-secret")


class WrongSource(Denied):
    code, guide = "wrong_source", "6.1"
    text = "{source} is none of STRIPE_WEBHOOK_NETWORKS, and STRIPE_ENABLE_IP_WHITELIST is true"
    hints = ("nself env get STRIPE_WEBHOOK_NETWORKS", "nself env get BILLING_TRUSTED_PROXIES")
