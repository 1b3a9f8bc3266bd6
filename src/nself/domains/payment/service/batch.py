"""Refunds from a file: all rows are looked at first, each row counts once whatever file it stands in.

A row is told by charge, amount and reason. Given again, by whoever and after whatever crash, it finds its refund made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from nself import files, log
from nself.app import App
from nself.core.errors import BillingError, NotFound
from nself.core.money import Money
from nself.db.connect import Tx
from nself.domains.connection.model import OperationState, Snapshot, StillPending, Wish, operation_name
from nself.domains.connection.service import change, intents
from nself.domains.customer import service as customers
from nself.domains.notification.model import Note
from nself.domains.notification.service import outbox
from nself.domains.payment import rules
from nself.domains.payment.errors import (
    BadBatch,
    BatchIncomplete,
    BatchRefused,
    GivenBackMeanwhile,
    NothingPaid,
    PlanChanged,
    RefundUnconfirmed,
    ResultNotWritten,
)
from nself.domains.payment.inputs import RefundFile
from nself.domains.payment.model import Asked, PlannedRefund, RefundBatch
from nself.domains.payment.service import given_back, look, refunds

THREADS = 8
SENT_BACK = "the bank did not take it: the same file makes it anew"
CHUNK = 100
MAX_BYTES = 10 << 20
SHOWN = 20
"""Rows that a refusal names; all of them would hide the first."""


class Looked(NamedTuple):
    """A charge as Stripe has it now, and what of it went to the customer's balance."""

    charge: Snapshot
    credited: int


class Row(NamedTuple):
    """A row with its charge as Stripe has it now, and the name that makes it once."""

    asked: Asked
    charge: Snapshot
    operation: str
    state: str | None
    """Of an earlier wish: pending, done, failed."""
    amount: int


def refund_file(app: App, given: RefundFile) -> RefundBatch:
    """The plan; in test mode without --dry-run, in live mode with --execute, what was done.

    Raises BadBatch, BatchRefused, RefundUnconfirmed, PlanChanged, FileNotWritten before anything is done, BatchIncomplete,
    ResultNotWritten.
    """
    app.require_stripe()
    since = given_back.begin(app)
    execute = not given.dry_run and (given.execute or not app.settings.live)
    rows = _rows(app, given)
    plan = rules.plan((row.operation, row.amount) for row in rows)
    _refuse_unconfirmed(rows, given)
    planned = [_planned(row) for row in rows]
    if not execute:
        how = "the same without --dry-run does it" if given.dry_run else "--execute does it"
        moved = rules.totals(Money(row.amount, row.charge["currency"]) for row in rows if row.state != "done")
        note = f"nothing was done: this is the plan, {' and '.join(moved) or 'nothing'} would go back; {how}"
        return _result(given, plan, planned, executed=False, note=note)
    if given.plan not in (None, plan):
        raise PlanChanged(path=given.input, plan=given.plan, reason=given.reason)
    if not rows:
        return _result(given, plan, [], executed=True, note="the file names nothing to refund")
    path = Path(given.output) if given.output else Path(given.input).with_suffix(".result.csv")
    done = list[PlannedRefund]()
    try:
        with files.private(path) as file:
            done += _execute(app, given, rows, since)
            files.write(file, "csv", PlannedRefund, done)
    except files.FileNotWritten as error:
        raise _unwritten(done, path, error) from None
    told, note = _tell(app, done) if given.notify else 0, f"see {path}"
    if given.notify and not outbox.listened(app):
        note += "; nobody is told while MAIL_ENABLED is false"
    made = _result(given, plan, done, executed=True, note=note, before=planned, told=told, output=str(path))
    log.info("refund_batch", file=given.input, rows=len(done), refunded=made.refunded, reason=given.reason, told=told)
    _refuse_incomplete(done, path)
    return made


# ---- Looking at it ----


def _rows(app: App, given: RefundFile) -> list[Row]:
    """Raises BadBatch, BatchRefused."""
    asked, wrong = rules.read_batch(given.input, _text(Path(given.input)))
    total = len({one.number for one in asked} | {_number(line) for line in wrong})
    with ThreadPoolExecutor(THREADS, "refund") as pool:
        found = list(pool.map(partial(_charge, app), asked))
    wrong += [
        f"row {one.number}: {looked}" for one, looked in zip(asked, found, strict=True) if isinstance(looked, str)
    ]
    pairs = [(one, looked) for one, looked in zip(asked, found, strict=True) if not isinstance(looked, str)]
    names, states = _operations(app, [_name(app, one, looked.charge, given.reason) for one, looked in pairs])
    rows, reserved, seen = list[Row](), dict[str, int](), dict[str, int]()
    for (one, looked), name in zip(pairs, names, strict=True):
        if (first := seen.setdefault(name, one.number)) != one.number:
            wrong.append(f"row {one.number}: it repeats row {first}")
            continue
        id = looked.charge["id"]
        row = _row(app, one, looked, name, states.get(name), reserved.get(id, 0))
        if isinstance(row, str):
            wrong.append(f"row {one.number}: {row}")
            continue
        rows.append(row)
        if row.state != "done":
            reserved[id] = reserved.get(id, 0) + row.amount
    if wrong:
        wrong.sort(key=_number)
        lines = "".join(f"\n  {line}" for line in wrong[:SHOWN])
        lines += f"\n  and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise BatchRefused(path=given.input, count=len(wrong), total=total, lines=lines)
    return rows


def _number(line: str) -> int:
    """Of `row 3: what is wrong`."""
    return int(line.split()[1].rstrip(":"))


def _text(path: Path) -> str:
    """Raises BadBatch."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadBatch(path=path, detail=f"larger than {MAX_BYTES >> 20} MiB")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BadBatch(path=path, detail="it is not UTF-8") from None
    except OSError as error:
        raise BadBatch(path=path, detail=error.strerror) from None


def _charge(app: App, one: Asked) -> Looked | str:
    """The charge of a row as Stripe has it now, or why there is none. Raises what keeps Stripe from answering."""
    try:
        charge = look.fresh(app, "charge", refunds.charge_of(app, one.object))
        return Looked(charge, given_back.beside_refunds(app, charge))
    except (NotFound, NothingPaid) as error:
        return error.message


def _name(app: App, one: Asked, charge: Snapshot, reason: str) -> str:
    return operation_name(app.settings.live, "refund.batch", charge["id"], one.amount or "all", reason)


def _operations(app: App, names: Sequence[str]) -> tuple[list[str], dict[str, OperationState]]:
    """Under which name each row was or is to be made, and where it stands; a refund that was sent back is made anew."""
    found, number = list(names), 1
    while True:
        states = {one.operation: one for one in intents.states(app, found)}
        back = _sent_back(app, states.values())
        gone = {name for name, one in states.items() if one.object_id in back}
        if not gone:
            return found, states
        number += 1
        found = [f"{first}:{number}" if name in gone else name for first, name in zip(names, found, strict=True)]


def _sent_back(app: App, states: Iterable[OperationState]) -> set[str]:
    return look.sent_back(app, [one.object_id for one in states if one.state == "done" and one.object_id])


def _row(app: App, one: Asked, looked: Looked, name: str, state: OperationState | None, reserved: int) -> Row | str:
    """Or what is wrong with it."""
    charge, credited = looked
    if charge["currency"] != one.currency:
        return f"{charge['id']} is in {charge['currency']}, not {one.currency}"
    if one.customer and charge.get("customer") != one.customer:
        return f"{charge['id']} is of {charge.get('customer') or 'no customer'}, not {one.customer}"
    if state is None or state.state == "failed":
        wrong = rules.refusal(charge, one.amount, reserved, credited)
        if wrong:
            return wrong[0]
        return Row(one, charge, name, state and state.state, one.amount or rules.left(charge) - reserved - credited)
    with app.db.reading() as tx:
        before = change.earlier(tx, name, app.settings.live)
    return Row(one, charge, name, state.state, before.params["params"]["amount"] if before else one.amount or 0)


def _refuse_unconfirmed(rows: Sequence[Row], given: RefundFile) -> None:
    if given.confirm:
        return
    if given.reason == "fraudulent":
        raise RefundUnconfirmed(detail="Reason fraudulent blocks cards and addresses at Stripe for good")
    for currency in {row.charge["currency"] for row in rows}:
        total = sum(row.amount for row in rows if row.charge["currency"] == currency and row.state != "done")
        if total >= rules.much(currency):
            raise RefundUnconfirmed(detail=f"{Money(total, currency)} in all is a lot")


def _planned(row: Row) -> PlannedRefund:
    return PlannedRefund(
        row=row.asked.number,
        object=row.asked.object,
        charge=row.charge["id"],
        customer=row.charge.get("customer"),
        amount_minor=row.amount,
        currency=row.charge["currency"],
        result={"done": "refunded", "pending": "pending"}.get(row.state or "", "refund"),
        detail=_known(row),
    )


def _known(row: Row) -> str:
    """A row whose amount was changed is another refund of the same charge: the plan shows what it adds to."""
    if row.state == "done":
        return "refunded before"
    before = row.charge["amount_refunded"]
    return f"besides {Money(before, row.charge['currency'])} given back before" if before and row.state is None else ""


def _result(
    given: RefundFile, plan: str, rows: list[PlannedRefund], *, executed: bool, note: str, before: Sequence[PlannedRefund] = (),
    told: int = 0, output: str | None = None,
) -> RefundBatch:  # fmt: skip
    old = sum(one.result == "refunded" for one in before or rows)
    return RefundBatch(
        executed=executed,
        plan=plan,
        reason=given.reason,
        rows=len(rows),
        refunded=sum(one.result == "refunded" for one in rows) - old,
        refunded_before=old,
        totals=rules.totals(Money(one.amount_minor, one.currency) for one in rows),
        given_back=_sums(rows, True),
        open=_sums(rows, False),
        told=told,
        output=output,
        note=note,
        refunds=rows,
    )


def _sums(rows: Sequence[PlannedRefund], refunded: bool) -> list[str]:
    some = (one for one in rows if (one.result == "refunded") == refunded)
    return rules.totals(Money(one.amount_minor, one.currency) for one in some)


# ---- Doing it ----


def _execute(app: App, given: RefundFile, rows: Sequence[Row], since: int) -> list[PlannedRefund]:
    """A hundred at a time, each recorded before the first is made; one that fails stops no other."""
    done = list[PlannedRefund]()
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        busy = app.db.transact(lambda tx, part=part: _wish(app, tx, part, given.reason, since))
        done += [_busy(row) for row in part if row.operation in busy]
        chunk = [row for row in part if row.operation not in busy]
        states = {one.operation: one for one in _drive(app, [row.operation for row in chunk])}
        back = _sent_back(app, states.values())
        done += [_done(row, states[row.operation], back) for row in chunk]
        with ThreadPoolExecutor(THREADS, "refund") as pool:
            list(
                pool.map(partial(look.renew, app, "charge"), {row.charge["id"] for row in chunk if row.state != "done"})
            )
    return done


def _wish(app: App, tx: Tx, rows: Sequence[Row], reason: str, since: int) -> set[str]:
    """Step: what stands already, of this run or another, is kept. Operations of customers who are credited meanwhile."""
    wishes, busy = list[Wish](), set[str]()
    customers = {row.charge["customer"] for row in rows if row.charge.get("customer")}
    credited = given_back.meanwhile(app, tx, customers, since, given_back.NOTES)
    for row in rows:
        if row.state in (None, "failed") and row.charge.get("customer") in credited:
            busy.add(row.operation)
        elif row.state in (None, "failed"):
            request = rules.digest(row.operation)
            params = rules.refund_params(row.charge, row.amount, reason, request)
            wishes.append(change.wish(row.operation, "refunds", params=params))
    intents.plan(tx, sorted(wishes, key=lambda one: one.operation), app.settings.live)
    return busy


def _busy(row: Row) -> PlannedRefund:
    told = GivenBackMeanwhile(customer=row.charge["customer"]).message
    return msgspec.structs.replace(_planned(row), result="failed", detail=told)


def _drive(app: App, operations: Sequence[str]) -> list[OperationState]:
    try:
        return intents.drive(app, operations)
    except StillPending:
        return intents.states(app, operations)


def _done(row: Row, state: OperationState, back: set[str]) -> PlannedRefund:
    result = {"done": "refunded", "pending": "pending"}.get(state.state, "failed")
    detail = "refunded before" if row.state == "done" else state.error or ""
    if state.object_id in back:
        result, detail = "failed", SENT_BACK
    return msgspec.structs.replace(_planned(row), result=result, refund=state.object_id, detail=detail)


def _unwritten(done: Sequence[PlannedRefund], path: Path, error: files.FileNotWritten) -> BillingError:
    """Before anything is done it is the file's error alone; afterwards the money comes first."""
    refunded = sum(one.result == "refunded" for one in done)
    return ResultNotWritten(done=refunded, total=len(done), path=path, detail=error.fields["detail"]) if done else error


def _refuse_incomplete(done: Sequence[PlannedRefund], path: Path) -> None:
    count = {name: sum(one.result == name for one in done) for name in ("refunded", "failed", "pending")}
    if count["refunded"] < len(done):
        raise BatchIncomplete(
            done=count["refunded"], total=len(done), failed=count["failed"], pending=count["pending"], output=path
        )  # fmt: skip


def _tell(app: App, done: Sequence[PlannedRefund]) -> int:
    """Users whose refund succeeded, once each refund; number of those who have an address."""
    made = [one for one in done if one.result == "refunded" and one.refund and one.customer]

    def work(tx: Tx) -> int:
        owners = customers.owners(tx, [one.customer for one in made if one.customer])
        notes: list[Note] = []
        for one in made:
            who = owners.get(one.customer or "")
            if who and who.email:
                snapshot = {"id": one.refund, "amount": one.amount_minor, "currency": one.currency}
                data = {
                    "object": "refund",
                    **snapshot,
                    "charge": one.charge,
                    "customer": one.customer,
                    "user": who.user,
                }
                notes.append(
                    Note(
                        kind="refund_notice",
                        email=who.email,
                        template="refund",
                        data=data,
                        once=f"{one.refund} told",
                    )
                )
        outbox.post(app, tx, notes, app.clock())
        return len(notes) if app.settings.flag("MAIL_ENABLED") else 0

    return app.db.transact(work)
