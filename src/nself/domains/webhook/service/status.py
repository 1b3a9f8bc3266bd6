"""Whether webhooks arrive, and if not, why: each root cause by its name, with the command that helps."""

from __future__ import annotations

from datetime import timedelta

from nself.app import App
from nself.core.errors import BillingError
from nself.domains.webhook import rules, store
from nself.domains.webhook.inputs import WebhookStatus
from nself.domains.webhook.model import Check, Poll, Problem, Refusal, Standing, Status
from nself.domains.webhook.service import endpoints, reach, switches
from nself.gateway.api import Snapshot

OF_LATE = timedelta(hours=24)
NAMES = {
    "dns": "endpoint unreachable: its name does not resolve",
    "tcp": "endpoint unreachable: nothing listens",
    "firewall": "firewall blocking Stripe IPs",
    "tls": "SSL certificate invalid or missing",
    "certificate": "SSL certificate invalid",
    "expiry": "SSL certificate expired or about to",
    "http": "endpoint unreachable: it is not our receiver that answers",
}


def status(app: App, given: WebhookStatus) -> Standing:
    """The endpoint at Stripe, the way to it, what came, what was refused and what waits."""
    now, live = app.clock(), app.settings.live
    with app.db.snapshot() as tx:
        counts = store.status(tx, now)
        refused = store.refusals(tx, now - OF_LATE)
        poll = store.poll(tx, live)
    found, problems = _endpoints(app)
    ours = endpoints.ours(app, found)
    checks = reach.way(ours["url"], now) if ours else []
    lag = counts.oldest_waiting_at and max(0, int((now - counts.oldest_waiting_at).total_seconds()))
    problems += [
        *_of_endpoint(app, found, ours),
        *_of_secrets(app, ours),
        *[_of_check(check) for check in checks if not check.ok],
        *rules.refusal_problems(refused, endpoints.rivals(found, ours), counts.last_delivered_at),
        *_of_work(app, counts, poll, lag or 0),
    ]
    return Standing(
        **{name: getattr(counts, name) for name in Status.__struct_fields__},
        url=ours["url"] if ours else "none",
        endpoint=ours["id"] if ours else "none",
        state=ours["status"] if ours else "none",
        secrets=len(app.settings.secrets("STRIPE_WEBHOOK_SECRET")),
        refused_24h=_times(refused),
        missed=poll.missed if poll else 0,
        lag_seconds=lag or 0,
        list_read_at=poll.polled_at if poll else None,
        checks=checks,
        problems=problems,
        warnings=switches.warnings(app),
    )


def _times(refused: list[Refusal]) -> int:
    return sum(one.times for one in refused)


def _endpoints(app: App) -> tuple[list[Snapshot], list[Problem]]:
    try:
        return list(app.stripe.listed("webhook_endpoints")), []
    except BillingError as error:
        command = error.hint[0] if error.hint else "nself billing stripe test-connection"
        return [], [Problem(cause="Stripe cannot be asked for its endpoints", detail=error.message, command=command)]


def _of_endpoint(app: App, found: list[Snapshot], ours: Snapshot | None) -> list[Problem]:
    if ours is None:
        if not found:
            return []
        others = ", ".join(one["url"] for one in found)
        return [_none(f"Stripe sends to {others}")]
    problems: list[Problem] = []
    if ours["status"] != "enabled":
        problems.append(
            Problem(
                cause="endpoint disabled in Stripe",
                detail=f"{ours['id']} is {ours['status']}: nothing is sent",
                command=f"nself billing webhook update-url {ours['url']}",
            )
        )
    if rivals := endpoints.rivals(found, ours):
        problems.append(
            Problem(
                cause="multiple webhook endpoints configured",
                detail=f"{', '.join(rivals)} send to {ours['url']} too, each signing with a secret of its own",
                command="nself billing webhook list-endpoints",
            )
        )
    return problems


def _none(detail: str) -> Problem:
    return Problem(
        cause="no webhook endpoint at Stripe is ours",
        detail=detail,
        command="nself billing webhook update-url https://yourapp.com/webhooks/stripe",
    )


def _of_secrets(app: App, ours: Snapshot | None) -> list[Problem]:
    secrets = app.settings.secrets("STRIPE_WEBHOOK_SECRET")
    if not secrets and ours is None:
        return [_none("nothing that happens at Stripe is told here")]
    if not secrets:
        command = "nself env set STRIPE_WEBHOOK_SECRET --stdin"
        return [Problem(cause="STRIPE_WEBHOOK_SECRET is not set", detail="every delivery is refused", command=command)]
    return [
        Problem(
            cause=f"webhook secret: {note}", detail="STRIPE_WEBHOOK_SECRET", command="nself billing webhook show-secret"
        )
        for note in map(rules.secret_note, secrets)
        if note
    ]


def _of_check(check: Check) -> Problem:
    return Problem(cause=NAMES[check.step], detail=check.detail, command="nself status http")


def _of_work(app: App, counts: Status, poll: Poll | None, lag: int) -> list[Problem]:
    found: list[Problem] = []
    if lag > rules.LATE.total_seconds():
        found.append(
            Problem(
                cause="events wait to be processed",
                detail=f"the oldest for {lag} s",
                command="nself billing webhook queue-status",
            )
        )
    if counts.failed:
        command = "nself billing webhook failures --last 100"
        found.append(Problem(cause="processing failed", detail=f"{counts.failed} events", command=command))
    if poll and poll.missed_at and app.clock() - poll.missed_at < OF_LATE:
        found.append(
            Problem(
                cause="events were lost on the way to us",
                detail=f"{poll.missed} were found in Stripe's list and processed, the last at {poll.missed_at:%Y-%m-%dT%H:%M:%SZ}",
                command="nself logs billing --grep webhook_missing",
            )
        )
    return found
