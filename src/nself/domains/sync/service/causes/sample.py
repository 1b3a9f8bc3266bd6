"""The newest objects at Stripe against the mirror: a few calls, so that nothing waits for a whole comparison."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from nself.app import App
from nself.diagnosis import Evidence
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture
from nself.domains.sync import rules, store
from nself.domains.sync.model import Finding
from nself.domains.sync.service.page import findings
from nself.gateway.api import STRIPE_VERSION, Snapshot

KINDS = ("customer", "subscription", "invoice")
MEND = ("nself billing sync {kind} {object}",)
SIZE = 100
MOST_EVENTS = 1000
PARTS = ("id", "customer", "subscription")
UNDER_WAY = timedelta(minutes=2)
"""What happened at Stripe within that time may still be on its way to us."""


def sampled(app: App) -> list[Finding]:
    """What differs and is not about to be settled by itself. Raises the gateway's errors."""
    found = [one for kind in KINDS for one in _of(app, kind)]
    moving = _moving(app)  # after it: what happens in between has its event in that list
    with app.db.reading() as tx:
        stuck = store.stuck(tx, [one.id for one in found], app.clock() - UNDER_WAY)
    return [
        one
        for one in found
        if rules.settled(one.cause, moving is None or one.id in moving, one.id in stuck)
        and not rules.follows_balance(one)
    ]


def _of(app: App, kind: str) -> list[Finding]:
    number = mirror.draw(app)
    page = app.stripe.page(kind, limit=SIZE)
    pictures = [Picture({"livemode": app.stripe.live, **one}, number, "doctor", STRIPE_VERSION) for one in page.objects]
    with app.db.reading() as tx:
        return findings(tx, kind, pictures, store.ever_complete(tx, app.settings.live, [kind]))


def _moving(app: App) -> set[str] | None:
    """Objects of which, or of whose, something happened just now; None where too much did to tell."""
    since = app.clock() - UNDER_WAY
    newest = islice(app.stripe.listed("events", limit=SIZE), MOST_EVENTS)
    young = [one["data"]["object"] for one in takewhile(lambda one: _created(one) >= since, newest)]
    if len(young) == MOST_EVENTS:
        return None
    return {name for one in young for part in PARTS if isinstance(name := one.get(part), str)}


def _created(event: Snapshot) -> datetime:
    return datetime.fromtimestamp(event["created"], UTC)


def told(found: Iterable[Finding]) -> Evidence | None:
    """Names the first; the fields complete `MEND`: of one object its customer or subscription, of several everything."""
    known = list(found)
    if not known:
        return None
    one = known[0]
    fields = ", ".join(str(change["field"]) for change in one.changes[:3])
    text = f"{one.kind} {one.id}{f' ({fields})' if fields else ''}: {one.detail}"
    if len(known) > 1:
        return Evidence(
            f"{text}; and {len(known) - 1} more of the newest objects", {"kind": "all", "object": "--execute"}
        )
    kind, object = one.kind, one.id
    if kind == "invoice" and one.picture:
        kind, object = "customer", str(one.picture.snapshot.get("customer"))
    return Evidence(text, {"kind": kind, "object": object})
