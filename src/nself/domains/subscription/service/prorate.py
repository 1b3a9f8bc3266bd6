"""Prorations as they stand at Stripe, each with its arithmetic; and putting right those that are pending."""

from __future__ import annotations

from nself import log
from nself.app import App
from nself.domains.connection.model import operation_name
from nself.domains.connection.rules import items, part
from nself.domains.connection.service import change
from nself.domains.mirror.model import Snapshot
from nself.domains.subscription import comparing, facts, rules, store
from nself.domains.subscription.inputs import Recalculate, ShowProrations
from nself.domains.subscription.model import Proration, Recalculated
from nself.domains.subscription.prorations import Facts, Price
from nself.domains.subscription.service import look

CORRECTS = "nself_corrects"


def prorations(app: App, given: ShowProrations) -> list[Proration]:
    """All of the mirrored invoices and those that wait, oldest first. Raises NoSuchSubscription, the gateway's errors."""
    snapshot = look.fresh(app, given.subscription, "subscription prorations")
    with app.db.reading() as tx:
        invoices = store.invoices_of(tx, snapshot["id"])
    lines = [line | {"invoice": one["id"]} for one in invoices for line in items(one, "lines")]
    return _explained(app, snapshot, lines, look.pending(app, snapshot), only_pending=False)


def _explained(
    app: App, snapshot: Snapshot, lines: list[Snapshot], pending: list[Snapshot], *, only_pending: bool
) -> list[Proration]:  # fmt: skip
    known, prices, around = look.gather(app, snapshot), dict[str, Price](), [*lines, *pending]
    wanted = [one for one in (pending if only_pending else around) if facts.line_details(one).get("proration")]
    wanted.sort(key=lambda one: (one["period"]["start"], one["amount"] >= 0))
    return [_row(app, one, around, known, prices) for one in wanted]


def _row(app: App, line: Snapshot, around: list[Snapshot], known: Facts, prices: dict[str, Price]) -> Proration:
    id = facts.price_of_line(line)
    if id not in prices:
        prices[id] = look.price(app, id)
    told = comparing.explained(line, around, known, prices[id])
    start, end = rules.instant(line["period"]["start"]), rules.instant(line["period"]["end"])
    assert start and end
    return Proration(
        at=start,
        until=end,
        kind="unused" if line["amount"] < 0 else "remaining",
        price=id,
        quantity=int(line.get("quantity") or 0),
        amount_minor=line["amount"],
        expected_minor=told.expected,
        currency=line["currency"],
        stands=line.get("invoice") or f"pending {line['id']}",
        arithmetic=told.arithmetic,
    )


def recalculate(app: App, given: Recalculate) -> Recalculated:
    """Prorations that no invoice has yet, by our own calculation; with `execute` the difference is added to the next invoice.

    What is invoiced stays. Each proration is corrected once. Raises NoSuchSubscription, the gateway's errors.
    """
    snapshot = look.running(look.fresh(app, given.subscription, "subscription recalculate"))
    pending = look.pending(app, snapshot)
    corrected = {
        part(one, "metadata").get(CORRECTS) for one in app.stripe.listed("invoiceitems", customer=snapshot["customer"])
    }
    open_ones = [one for one in pending if one["id"] not in corrected]
    with app.db.reading() as tx:
        invoices = store.invoices_of(tx, snapshot["id"])
    lines = [line | {"invoice": one["id"]} for one in invoices for line in items(one, "lines")]
    found = _explained(app, snapshot, lines, open_ones, only_pending=True)
    wrong = [one for one in found if one.expected_minor not in (None, one.amount_minor)]
    if given.execute:
        for one in wrong:
            _correct(app, snapshot, one)
    log.info("proration", recalculated=snapshot["id"], pending=len(found), wrong=len(wrong), executed=given.execute)
    expected = sum(one.amount_minor if one.expected_minor is None else one.expected_minor for one in found)
    actual = sum(one.amount_minor for one in found)
    return Recalculated(
        subscription=snapshot["id"],
        pending=len(found),
        pending_minor=actual,
        expected_minor=expected,
        difference_minor=expected - actual,
        currency=snapshot["currency"],
        executed=given.execute and bool(wrong),
        note=_note(snapshot["id"], len(found), len(wrong), given.execute),
        lines=found,
    )


def _note(id: str, pending: int, wrong: int, execute: bool) -> str:
    if not pending:
        return "no proration waits for the next invoice; what is invoiced is put right with a credit note"
    if not wrong:
        return "all pending prorations are as they should be"
    if execute:
        return f"{wrong} corrected: the difference stands on the next invoice"
    return (
        f"{wrong} are not as they should be; correct them with: nself billing subscription recalculate {id} --execute"
    )


def _correct(app: App, snapshot: Snapshot, one: Proration) -> None:
    """Once for each proration."""
    wrong = one.stands.removeprefix("pending ")
    change.change(
        app,
        operation_name(app.settings.live, "subscription.correct", wrong),
        "invoiceitems",
        params={
            "customer": snapshot["customer"],
            "subscription": snapshot["id"],
            "amount": (one.expected_minor or 0) - one.amount_minor,
            "currency": one.currency,
            "description": f"Correction of a proration of {one.at:%Y-%m-%d}",
            "discountable": False,
            "metadata": {CORRECTS: wrong},
        },
    )
