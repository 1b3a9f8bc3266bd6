"""Prorations as they stand at Stripe, each with its arithmetic; and putting right those that are pending."""

from __future__ import annotations

from typing import Literal, NamedTuple

from nself import log
from nself.app import App
from nself.domains.connection.model import operation_name
from nself.domains.connection.rules import items, part
from nself.domains.connection.service import change
from nself.domains.mirror.model import Snapshot
from nself.domains.subscription import comparing, facts, rules, store
from nself.domains.subscription.comparing import Explained
from nself.domains.subscription.inputs import Recalculate, ShowProrations
from nself.domains.subscription.model import Proration, Recalculated
from nself.domains.subscription.prorations import Facts, Price
from nself.domains.subscription.service import look

CORRECTS = "nself_corrects"


def prorations(app: App, given: ShowProrations) -> list[Proration]:
    """All of the mirrored invoices and those that wait, oldest first. Raises NoSuchSubscription, the gateway's errors."""
    snapshot = look.fresh(app, given.subscription, "subscription prorations")
    charged, pending = _charged(app, snapshot["id"]), look.pending(app, snapshot)
    found = _explained(app, snapshot, charged.lines, pending, only_pending=False)
    return found + _missing(app, snapshot, charged, pending)


def uncredited(app: App, snapshot: Snapshot) -> list[Proration]:
    """The credits that a subscription lacks since its trial began; Stripe is asked only where the mirror lacks one."""
    charged = _charged(app, snapshot["id"])
    if not facts.uncredited(snapshot, charged.lines, []):
        return []
    return _missing(app, snapshot, charged, look.pending(app, snapshot))


class Charged(NamedTuple):
    """Lines of a subscription's invoices; `given_back` are invoices that are void, or that a credit note was given for."""

    lines: list[Snapshot]
    given_back: set[str]


def _charged(app: App, id: str) -> Charged:
    with app.db.reading() as tx:
        invoices = store.invoices_of(tx, id)
    return Charged(
        [line | {"invoice": one["id"]} for one in invoices for line in items(one, "lines")],
        {
            one["id"]
            for one in invoices
            if one["status"] == "void"
            or one["pre_payment_credit_notes_amount"]
            or one["post_payment_credit_notes_amount"]
        },
    )


def _missing(app: App, snapshot: Snapshot, charged: Charged, pending: list[Snapshot]) -> list[Proration]:
    found = facts.uncredited(snapshot, charged.lines, pending)
    open_ones = [one for one in found if one.get("invoice") not in charged.given_back]
    corrected = _corrected(app, snapshot) if open_ones else set[str]()
    return [_missed(one, snapshot["trial_start"]) for one in open_ones if one["id"] not in corrected]


def _missed(line: Snapshot, began: int) -> Proration:
    span, told = comparing.missing(line, began)
    return _proration(line, span, "unused", 0, told, f"missing {line['id']}")


def _corrected(app: App, snapshot: Snapshot) -> set[str]:
    """What was put right before."""
    given = app.stripe.listed("invoiceitems", customer=snapshot["customer"])
    return {str(part(one, "metadata").get(CORRECTS)) for one in given}


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
    span = (line["period"]["start"], line["period"]["end"])
    kind = "unused" if line["amount"] < 0 else "remaining"
    return _proration(line, span, kind, line["amount"], told, line.get("invoice") or f"pending {line['id']}")


def _proration(
    line: Snapshot, span: tuple[int, int], kind: Literal["unused", "remaining"], amount: int, told: Explained, stands: str
) -> Proration:  # fmt: skip
    start, end = map(rules.instant, span)
    assert start and end
    return Proration(
        at=start,
        until=end,
        kind=kind,
        price=facts.price_of_line(line),
        quantity=int(line.get("quantity") or 0),
        amount_minor=amount,
        expected_minor=told.expected,
        currency=line["currency"],
        stands=stands,
        arithmetic=told.arithmetic,
    )


def recalculate(app: App, given: Recalculate) -> Recalculated:
    """Prorations that no invoice has yet, by our own calculation; with `execute` the difference is added to the next invoice.

    So are credits that are missing since a trial began in time that was paid. What is invoiced stays. Each proration is corrected once. Raises NoSuchSubscription, the gateway's errors.
    """
    snapshot = look.running(look.fresh(app, given.subscription, "subscription recalculate"))
    pending = look.pending(app, snapshot)
    charged, corrected = _charged(app, snapshot["id"]), _corrected(app, snapshot)
    open_ones = [one for one in pending if one["id"] not in corrected]
    found = _explained(app, snapshot, charged.lines, open_ones, only_pending=True)
    found += _missing(app, snapshot, charged, pending)
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
    wrong = one.stands.split(" ")[-1]
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
