"""What can go wrong with webhooks."""

from __future__ import annotations

from nself.core.errors import Invalid, Unavailable


class ReceiverAway(Unavailable):
    code, guide = "receiver_away", "6.1"
    text = "{url} does not answer: {detail}"
    hints = ("nself status http", "nself restart billing")


class UnreadableWebhook(Invalid):
    code, guide = "webhook_unreadable", "6.1"
    text = "Invalid webhook body: {detail}"
    hints = ("nself billing webhook failures --last 100",)


class ProcessingTooLong(Unavailable):
    code, guide = "webhook_timeout", "6.3"
    text = "Processing took longer than WEBHOOK_TIMEOUT ({limit:g} s): {detail}"
    hints = ("nself billing webhook show-timing", "nself env set WEBHOOK_TIMEOUT=30s")
