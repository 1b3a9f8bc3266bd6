"""Whether Stripe collects by itself: subscriptions' invoices stay drafts while collection is paused, open ones are left alone.

All wishes are recorded before the first is performed, so that a run which is killed is finished by the worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nself import log
from nself.app import App
from nself.core.errors import MissingParameter
from nself.domains.connection.model import Wish
from nself.domains.connection.rules import part
from nself.domains.connection.service import change, intents
from nself.domains.mirror.model import Snapshot
from nself.domains.subscription import rules
from nself.domains.subscription.inputs import PauseCollection, ResumeCollection
from nself.domains.subscription.model import Collection
from nself.domains.subscription.service import look

MARK = "nself_collection_paused"
"""In the metadata of an invoice whose automatic collection we stopped."""
KEPT: Snapshot = {"pause_collection": {"behavior": "keep_as_draft"}}
CHUNK, MAX_FAILED = 200, 20


def pause(app: App, given: PauseCollection) -> Collection:
    """Nothing is lost: what becomes due stays a draft. Raises MissingParameter, NoSuchSubscription, the gateway's errors."""
    app.require_stripe()
    found = list(_subscriptions(app, given))
    stop = {"auto_advance": False, "metadata": {MARK: "true"}}
    advancing = [one for one in _invoices(app, given.subscription) if one.get("auto_advance")]
    due = [one for one in found if not one.get("pause_collection")]
    failed = _change(app, "pause_collection", [("subscriptions", one, KEPT) for one in due], advancing, stop)
    log.warning("collection_paused", subscriptions=len(due), invoices=len(advancing), operator=app.operator())
    which = given.subscription or "--all"
    note = f"Stripe collects nothing of them until: nself billing subscription resume-collection {which}"
    return _told(found, due, advancing, 0, failed, note)


def resume(app: App, given: ResumeCollection) -> Collection:
    """What we stopped goes on. Raises as `pause`."""
    app.require_stripe()
    found = list(_subscriptions(app, given))
    resting = [one for one in _invoices(app, given.subscription) if not one.get("auto_advance")]
    stopped = [one for one in resting if part(one, "metadata").get(MARK)]
    drafts = [one for one in resting if one["status"] == "draft" and one not in stopped and _of_subscription(one)]
    go = {"auto_advance": True, "metadata": {MARK: ""}}
    due = [one for one in found if one.get("pause_collection")]
    again = stopped + (drafts if given.drafts else [])
    failed = _change(
        app, "resume_collection", [("subscriptions", one, {"pause_collection": ""}) for one in due], again, go
    )
    log.warning("collection_resumed", subscriptions=len(due), invoices=len(again), operator=app.operator())
    left = 0 if given.drafts else len(drafts)
    which = given.subscription or "--all"
    note = (
        f"have the drafts collected too: nself billing subscription resume-collection {which} --drafts" if left else ""
    )
    return _told(found, due, again, left, failed, note)


def _told(
    found: list[Snapshot], due: list[Snapshot], invoices: list[Snapshot], drafts: int, failed: list[str], note: str
) -> Collection:  # fmt: skip
    return Collection(
        subscriptions=len(due),
        already=len(found) - len(due),
        invoices=len(invoices),
        drafts=drafts,
        failed=failed[:MAX_FAILED],
        note=note,
    )


def _subscriptions(app: App, given: PauseCollection | ResumeCollection) -> Iterator[Snapshot]:
    """As Stripe has them now."""
    if given.subscription:
        yield look.running(look.fresh(app, given.subscription, "subscription collection"))
    elif given.all:
        yield from (one for one in app.stripe.listed("subscriptions") if one["status"] not in rules.ENDED)
    else:
        raise MissingParameter("subscription")


def _invoices(app: App, subscription: str | None) -> Iterator[Snapshot]:
    """Those that Stripe may still collect."""
    of: dict[str, Any] = {"subscription": subscription} if subscription else {}
    for status in ("draft", "open"):
        yield from app.stripe.listed("invoices", status=status, **of)


def _of_subscription(invoice: Snapshot) -> bool:
    return bool(part(part(invoice, "parent"), "subscription_details").get("subscription"))


def _change(
    app: App, deed: str, changes: list[tuple[str, Snapshot, Snapshot]], invoices: list[Snapshot], of_invoices: Snapshot
) -> list[str]:  # fmt: skip
    """Have all of it done; what Stripe refused. Raises StillPending."""
    every = changes + [("invoices", one, of_invoices) for one in invoices]
    wishes = [
        change.wish(change.once(app, deed, one["id"]), path, one["id"], params=params) for path, one, params in every
    ]
    chunks = [wishes[at : at + CHUNK] for at in range(0, len(wishes), CHUNK)]
    for chunk in chunks:
        app.db.transact(lambda tx, chunk=chunk: intents.plan(tx, chunk, app.settings.live))
    return [told for chunk in chunks for told in _driven(app, chunk)]


def _driven(app: App, wishes: list[Wish]) -> list[str]:
    ends = intents.drive(app, [one.operation for one in wishes])
    return [f"{end.operation}: {end.error}" for end in ends if end.state == "failed"]
