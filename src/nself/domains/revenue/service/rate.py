"""What noted subscriptions are worth. Coupons and tiers are asked of Stripe, so it is done outside the note's transaction."""

from __future__ import annotations

from nself import log
from nself.app import App
from nself.db.connect import Tx
from nself.domains.revenue import rules, store
from nself.domains.revenue.model import Due, Part
from nself.domains.subscription.service import worth

PAGE = 200


def rate_due(app: App) -> str:
    """Of all that is noted, and of what was mirrored before anybody noted it. Raises the gateway's errors."""
    _add_unseen(app)
    coupons: worth.Coupons = {}
    last = count = 0
    while True:
        with app.db.reading() as tx:
            found = store.due(tx, app.settings.live, last, PAGE)
        known = [(one, worth.terms(app, one.snapshot, one.general or {}, coupons)) for one in found]
        for one, terms in known:
            count += app.db.transact(lambda tx, one=one, terms=terms: _rate(tx, one, terms))
        if len(found) < PAGE:
            return f"{count} subscriptions worked out" if count else ""
        last = found[-1].id


def _add_unseen(app: App) -> None:
    last: str | None = ""
    while last is not None:
        last = app.db.transact(lambda tx, last=last: store.add_unseen(tx, app.settings.live, last, app.clock(), PAGE))


def _rate(tx: Tx, one: Due, terms: worth.Terms) -> bool:
    """Step: what a note says, once."""
    if not store.take_due(tx, one.id):
        return False
    before = store.newest(tx, one.subscription)
    at = max([int(one.at.timestamp()), *(step.at for step in before[:1])])
    found = rules.steps(
        one.snapshot, at, not before, terms.turns, lambda instant: [_part(it) for it in terms.at(instant)]
    )
    if rules.known(before, found):
        return True
    worths = [(step, max(0, rules.whole(rules.total(step.parts)))) for step in found]
    below = any(rules.total(step.parts) < 0 for step in found)
    doubt = ", ".join(filter(None, (terms.doubt, rules.BELOW if below else None))) or None
    store.add(tx, one, worths, not before, doubt)
    log.debug("mrr_noted", subscription=one.subscription, note=one.id, mrr_minor=worths[-1][1])
    return True


def _part(one: worth.Worth) -> Part:
    return Part(
        item=one.item,
        price=one.price,
        quantity=one.quantity,
        period=f"{one.every} {one.interval}",
        amount=str(one.amount),
        net=str(one.net),
        monthly=str(rules.monthly(one.net, one.interval, one.every)),
    )
