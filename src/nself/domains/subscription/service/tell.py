"""What is told where subscriptions, invoices, charges and disputes become others.

Telling follows from what a picture changed, in its transaction, under a key that Stripe's own data give: an event that
comes again, or was lost and is made up for by a synchronisation, tells nothing twice (docs/decisions/0022).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

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


def note_trial(app: App, tx: Tx, changes: Sequence[Change]) -> None:
    """Reaction to subscriptions or customers: who has had a trial has had it for good.

    Either may be stored first, by two processes at once: both do it under the lock of the customer.
    """
    new = [one.id for one in changes if one.kind == "customer" and one.what == "created"]
    begun = {one.after["customer"] for one in changes if one.kind == "subscription" and _begins_trial(one)}
    if begun:
        mirror.lock(tx, "customer", list(begun))
    had = [*begun, *(store.had_trial(tx, new) if new else [])]
    if had:
        customer.use_trial(tx, had)


def _begins_trial(change: Change) -> bool:
    return bool(change.after.get("trial_start") and not (change.before or {}).get("trial_start"))


class _Told(NamedTuple):
    """What there is to tell of a changed object, whose state is `after`."""

    change: Change
    after: Snapshot
    effects: list[Effect]


def tell(app: App, tx: Tx, changes: Sequence[Change]) -> None:
    """Reaction to subscriptions, invoices, charges or disputes: mail and webhooks of our own."""
    found = _news(app, tx, [one for change in changes if (one := _told(change)).effects])
    for one in found:
        for effect in one.effects:
            log.info(effect.kind.replace(".", "_"), object=one.change.id, source=one.change.picture.source)
    if found and outbox.listened(app):
        who = _owners(tx, found)
        notes = [_note(effect, who.get(one.change.id, NOBODY)) for one in found for effect in one.effects]
        outbox.post(app, tx, notes, app.clock())


def _told(change: Change) -> _Told:
    before, after = _before(change), change.after
    if change.what == "deleted":
        if change.kind != "subscription" or change.before is None:
            return _Told(change, after, [])
        after = {**change.before, "status": "canceled"}
    return _Told(change, after, rules.effects(change.kind, before, after))


def _before(change: Change) -> Snapshot | None:
    return change.before if change.intact else None


def _news(app: App, tx: Tx, found: list[_Told]) -> list[_Told]:
    """Of objects of which nobody knows what they were before: what came about while we watched.

    Where a row was deleted or rewritten by hand, a state that is not final was told when it began.
    """
    unknown = {one.change.id: one.change.livemode for one in found if _before(one.change) is None}
    if not unknown:
        return found
    since = {
        live: ((mirror.watched_since(tx, live) or app.clock()) - RECENT).timestamp() for live in set(unknown.values())
    }
    stored_before = mirror.changed_before(tx, unknown)

    def is_news(change: Change, effect: Effect) -> bool:
        if change.id not in unknown:
            return True
        return effect.at >= since[change.livemode] and (effect.final or change.id not in stored_before)

    return [
        one._replace(effects=effects)
        for one in found
        if (effects := [effect for effect in one.effects if is_news(one.change, effect)])
    ]


def _owners(tx: Tx, found: Sequence[_Told]) -> dict[str, Owner]:
    """By object. Of a dispute whose charge is not mirrored, and of a customer that is not, nobody knows."""
    disputed = [str(one.after.get("charge")) for one in found if one.change.kind == "dispute"]
    charges = mirror.stored(tx, "charge", disputed) if disputed else {}
    customers = dict[str, str]()
    for one in found:
        snapshot = one.after
        if one.change.kind == "dispute":
            charge = charges.get(str(snapshot.get("charge")))
            snapshot = charge.snapshot if charge else {}
        customers[one.change.id] = str(snapshot.get("customer"))
    known = customer.owners(tx, list(customers.values()))
    return {id: known[owner] for id, owner in customers.items() if owner in known}


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
