"""What is told where subscriptions, invoices, charges and disputes become others.

Telling follows from what a picture changed, in its transaction, under a key that Stripe's own data give: an event that
comes again, or was lost and is made up for by a synchronisation, tells nothing twice (docs/decisions/0022).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from nself import log
from nself.app import App
from nself.db.connect import Tx
from nself.domains.customer import service as customer
from nself.domains.customer.model import Owner
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Change, Snapshot
from nself.domains.notification.model import Note
from nself.domains.notification.service import outbox
from nself.domains.subscription import rules, store
from nself.domains.subscription.model import Effect, Kept

NOTICE = timedelta(days=3)
"""Before its end a trial is told of, as Stripe does."""
RECENT = timedelta(hours=1)
"""What came about this long before the first object was stored is told, too."""
PAGE = 500
NOBODY = Owner("", None, None, False)


def note_trial(app: App, tx: Tx, change: Change) -> None:
    """Reaction to a subscription or a customer: who has had a trial has had it for good.

    Either may be stored first, by two processes at once: both do it under the lock of the customer.
    """
    if change.kind == "customer":
        if change.what == "created" and store.had_trial(tx, change.id):
            customer.use_trial(tx, change.id)
    elif change.after.get("trial_start") and not (change.before or {}).get("trial_start"):
        mirror.lock(tx, "customer", [change.after["customer"]])
        customer.use_trial(tx, change.after["customer"])


def tell(app: App, tx: Tx, change: Change) -> None:
    """Reaction to a subscription, an invoice, a charge or a dispute: mail and webhooks of our own."""
    before, after = change.before if change.intact else None, change.after
    if change.what == "deleted":
        if change.kind != "subscription" or change.before is None:
            return
        after = {**change.before, "status": "canceled"}
    found = rules.effects(change.kind, before, after)
    if before is None:
        found = _news(app, tx, change, found)
    for one in found:
        log.info(one.kind.replace(".", "_"), object=change.id, source=change.picture.source)
    if found and outbox.listened(app):
        who = _owner(tx, change.kind, after)
        outbox.post(app, tx, [_note(one, who) for one in found], app.clock())


def _news(app: App, tx: Tx, change: Change, found: list[Effect]) -> list[Effect]:
    """Of an object of which nobody knows what it was before: what came about while we watched.

    Where its row was deleted or rewritten by hand, a state that is not final was told when it began.
    """
    if not found:
        return []
    since = (mirror.watched_since(tx, change.livemode) or app.clock()) - RECENT
    young = [one for one in found if one.at >= since.timestamp()]
    stored_before = bool(young) and len(mirror.changes(tx, change.id, 2)) > 1
    return [one for one in young if one.final or not stored_before]


def _owner(tx: Tx, kind: str, after: Snapshot) -> Owner:
    """Of a dispute whose charge is not mirrored, and of a customer that is not, nobody knows."""
    if kind == "dispute":
        charge = str(after.get("charge"))
        found = mirror.stored(tx, "charge", [charge])
        after = found[charge].snapshot if charge in found else {}
    id = str(after.get("customer"))
    return customer.owners(tx, [id]).get(id, NOBODY)


def _note(one: Effect, who: Owner) -> Note:
    data = {**one.data, "user": who.user}
    email = who.email if one.template else None
    return Note(kind=one.kind, email=email, template=one.template, data=data, once=one.key)


def tell_trials(app: App) -> str:
    """Tell trials that end within NOTICE, each end once. Stripe's event for it changes nothing that could be reacted to."""
    if not outbox.listened(app):
        return ""
    until, last, count = int((app.clock() + NOTICE).timestamp()), (int(app.clock().timestamp()), ""), 0
    while True:
        found = app.db.transact(lambda tx, last=last: _tell_page(app, tx, last, until))
        count += len(found)
        if len(found) < PAGE:
            return f"{count} trials end within {NOTICE.days} days"
        last = (found[-1].snapshot["trial_end"], found[-1].id)


def _tell_page(app: App, tx: Tx, last: tuple[int, str], until: int) -> Sequence[Kept]:
    found = store.ending_trials(tx, app.settings.live, last, until, PAGE)
    owners = customer.owners(tx, [one.customer for one in found if one.customer])
    notes: list[Note] = []
    for one in found:
        who = owners.get(one.customer or "", NOBODY)
        notes.append(_note(rules.trial_ends(one.snapshot, who.can_pay), who))
    outbox.post(app, tx, notes, app.clock())
    return found
