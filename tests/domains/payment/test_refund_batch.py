"""Refunds from a file: all rows looked at first, each counted once, and told once."""

from __future__ import annotations

import csv
import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from money_seams import Crash, Seams, fragile

from nself.app import App
from nself.domains.payment.errors import (
    BadBatch,
    BatchIncomplete,
    BatchRefused,
    PlanChanged,
    RefundUnconfirmed,
    ResultNotWritten,
)
from nself.domains.payment.inputs import RefundFile
from nself.domains.payment.model import RefundBatch
from nself.domains.payment.service import batch
from nself.files import FileNotWritten
from paying import Till
from telling import Mailbox, send_all, words

Row = tuple[object, ...]


class Desk:
    """Charges of some customers, and files that name them."""

    def __init__(self, till: Till, folder: Path, count: int = 3) -> None:
        self.till, self.folder = till, folder
        self.customers = [till.customer, *(till.known(f"user{n}") for n in range(1, count))]
        self.charges = [
            till.pay(customer=one, amount=1000 + at, idempotency_key=f"{one}-{at}").charge or ""
            for at, one in enumerate(self.customers)
        ]

    def file(self, *rows: Row, header: str = "charge,amount,currency", name: str = "affected.csv") -> str:
        path = self.folder / name
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header.split(","))
            writer.writerows(rows)
        return str(path)

    def all(self, amount: object = 400) -> str:
        return self.file(*((one, amount, "usd") for one in self.charges))

    def run(self, path: str, app: App | None = None, **more: Any) -> RefundBatch:
        return batch.refund_file(app or self.till.app, RefundFile(input=path, reason="billing_error", **more))

    def refunded(self) -> list[list[int]]:
        return [self.till.refunded(one) for one in self.charges]


@pytest.fixture
def desk(till: Till, tmp_path: Path) -> Desk:
    return Desk(till, tmp_path)


def results(path: str | None) -> list[dict[str, str]]:
    assert path
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_in_test_mode_the_guides_line_does_it(desk: Desk) -> None:
    done = desk.run(desk.all())
    assert (done.executed, done.rows, done.refunded, done.refunded_before, done.totals) == (
        True,
        3,
        3,
        0,
        ["12.00 USD"],
    )
    assert desk.refunded() == [[400], [400], [400]]
    assert done.output and stat.S_IMODE(Path(done.output).stat().st_mode) == 0o600
    assert done.output.endswith("affected.result.csv")
    rows = results(done.output)
    assert [(row["row"], row["charge"], row["result"]) for row in rows] == [
        (str(at + 2), one, "refunded") for at, one in enumerate(desk.charges)
    ]
    assert all(row["refund"].startswith("re_") for row in rows)
    assert desk.till.net(desk.charges[1]) == 601


def test_the_plan_does_nothing(desk: Desk) -> None:
    plan = desk.run(desk.all(""), dry_run=True)
    assert (plan.executed, plan.totals, plan.refunded, plan.output) == (False, ["30.03 USD"], 0, None)
    assert [row.result for row in plan.refunds] == ["refund"] * 3
    assert desk.refunded() == [[], [], []]
    assert [path.name for path in desk.folder.glob("*affected*")] == ["affected.csv"]


def test_in_live_mode_it_is_a_plan_until_execute(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mode alone decides: the sandbox has no live mode, so the objects stay test ones."""
    asked = RefundFile(input=desk.all(), reason="billing_error")
    settings = desk.till.app.settings
    monkeypatch.setattr(type(settings), "live", property(lambda _: True))
    plan = batch.refund_file(desk.till.app, asked)
    assert not plan.executed and "--execute" in plan.note
    assert desk.refunded() == [[], [], []]


def test_again_refunds_nobody_twice_whatever_the_file_is_called(desk: Desk) -> None:
    desk.run(desk.all())
    again = desk.run(desk.all())
    assert (again.refunded, again.refunded_before) == (0, 3)
    other = desk.file(*((one, 400, "usd") for one in desk.charges[::-1]), name="exported again.csv")
    assert desk.run(other).refunded_before == 3
    more = desk.file((desk.charges[0], 400, "usd"), (desk.charges[1], 100, "usd"))
    assert (desk.run(more).refunded, desk.refunded()) == (1, [[400], [100, 400], [400]])


def test_all_that_is_left_is_given_back_once(desk: Desk) -> None:
    desk.run(desk.file((desk.charges[0], 300, "usd"), (desk.charges[0], "", "usd")))
    assert desk.refunded()[0] == [300, 700]
    done = desk.run(desk.file((desk.charges[0], 300, "usd"), (desk.charges[0], "", "usd")))
    assert (done.refunded, done.refunded_before) == (0, 2)


def test_one_bad_row_keeps_all_back_and_each_is_named(desk: Desk) -> None:
    first, second, third = desk.charges
    path = desk.file(
        (first, 400, "usd", desk.customers[0]),
        (second, 5000, "usd", ""),
        (third, 400, "eur", ""),
        ("ch_none", 400, "usd", ""),
        (first, 601, "usd", ""),
        (third, 100, "usd", desk.customers[0]),
        (third, "1.5", "usd", ""),
        header="charge,amount,currency,customer",
    )
    with pytest.raises(BatchRefused) as refused:
        desk.run(path)
    told = refused.value.message
    assert "6 of 7 rows cannot be refunded, so none was" in told
    lines = [line.strip() for line in told.split("\n")[1:]]
    assert [line.split(":")[0] for line in lines] == [f"row {n}" for n in range(3, 9)]
    for line, said in zip(lines, (
        "greater than what is left", "is in usd, not eur", "No such charge: ch_none", "(6.00 USD)", "is of cus_",
        "Invalid integer: 1.5",
    ), strict=True):  # fmt: skip
        assert said in line
    assert desk.refunded() == [[], [], []]


def test_rows_may_name_payment_intents_and_invoices(desk: Desk) -> None:
    made = desk.till.pay(amount=800)
    desk.till.bench.use(desk.till.app, "user", 120)
    desk.till.bench.bill(desk.till.app, "user")
    (invoice,) = desk.till.sandbox.invoices(desk.till.customer)
    path = desk.file(
        ("", made.id, 100, "usd"), (invoice["id"], "", "", "usd"), header="invoice,payment_intent,amount,currency"
    )
    assert desk.run(path).totals == ["6.00 USD"]
    assert desk.till.refunded(made.charge or "") == [100]


def test_a_refund_that_is_there_twice_is_refused_whatever_it_is_called(desk: Desk) -> None:
    made = desk.till.pay(amount=800)
    path = desk.file(
        (made.charge, "", 100, "usd"), (made.charge, "", 200, "usd"), ("", made.id, 100, "usd"),
        header="charge,payment_intent,amount,currency",
    )  # fmt: skip
    with pytest.raises(BatchRefused, match="row 4: it repeats row 2"):
        desk.run(path)
    assert desk.till.refunded(made.charge or "") == []


@pytest.mark.parametrize("text", [None, b"\xff\xfe", b"a,b\n1,2\n"])
def test_what_is_no_file_is_refused(desk: Desk, text: bytes | None) -> None:
    path = desk.folder / "bad.csv"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(BadBatch, match=r"bad\.csv"):
        desk.run(str(path))


def test_an_empty_file_refunds_nothing(desk: Desk) -> None:
    assert desk.run(desk.file()).note == "the file names nothing to refund"


def test_a_large_sum_and_fraud_must_be_confirmed(desk: Desk) -> None:
    big = desk.till.pay(amount=1_500_000, confirm=True).charge
    path = desk.file((big, "", "usd"))
    with pytest.raises(RefundUnconfirmed, match=r"15000\.00 USD in all is a lot"):
        desk.run(path)
    with pytest.raises(RefundUnconfirmed, match="blocks cards"):
        batch.refund_file(desk.till.app, RefundFile(input=path, reason="fraudulent"))
    assert desk.run(path, confirm=True).refunded == 1


def test_where_the_result_cannot_be_written_nothing_is_done(desk: Desk) -> None:
    with pytest.raises(FileNotWritten):
        desk.run(desk.all(), output=str(desk.folder / "no" / "such" / "folder.csv"))
    assert desk.refunded() == [[], [], []]


def spoil(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the rows were looked at somebody gives back most of the second charge in the Dashboard."""
    execute = batch._execute

    def late(app: App, given: RefundFile, rows: list[batch.Row], since: int) -> object:
        if not desk.till.refunded(desk.charges[1]):
            desk.till.sandbox.post("/v1/refunds", charge=desk.charges[1], amount=801)
        return execute(app, given, rows, since)

    monkeypatch.setattr(batch, "_execute", late)


def test_what_fails_is_told_in_the_result_and_stops_no_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(desk, monkeypatch)
    with pytest.raises(BatchIncomplete, match="2 of 3 rows are refunded, 1 failed, 0 are pending") as refused:
        desk.run(desk.all())
    rows = results(str(refused.value.fields["output"]))
    assert [row["result"] for row in rows] == ["refunded", "failed", "refunded"]
    assert "greater than" in rows[1]["detail"]
    assert desk.refunded() == [[400], [801], [400]]
    with pytest.raises(BatchRefused, match="1 of 3 rows"):
        desk.run(desk.all())
    corrected = desk.file(*((one, 200 if at == 1 else 400, "usd") for at, one in enumerate(desk.charges)))
    done = desk.run(corrected)
    assert (done.refunded, done.refunded_before) == (1, 2)
    assert desk.refunded() == [[400], [200, 801], [400]]


def test_a_crash_at_any_seam_is_gone_on_with(till: Till, tmp_path: Path) -> None:
    at, step, whole = 1, 3, False
    while not whole:
        folder = tmp_path / str(at)
        folder.mkdir()
        desk = Desk.__new__(Desk)
        desk.till, desk.folder, desk.customers = till, folder, [till.customer] * 2
        desk.charges = [till.pay(amount=1000, idempotency_key=f"{at}-{n}").charge or "" for n in range(2)]
        app = fragile(till.bench, Seams(at))
        try:
            desk.run(desk.all(), app)
            whole = True
        except Crash:
            till.bench.pass_time()
            done = desk.run(desk.all())
            assert done.refunded + done.refunded_before == 2
        finally:
            app.close()
        assert desk.refunded() == [[400], [400]], at
        assert len(list(folder.iterdir())) == 2
        at += step
    assert at > 20
    till.bench.check_quiet()


def test_two_who_run_it_at_once_refund_each_once(desk: Desk) -> None:
    path = desk.all()

    def one(n: int) -> int:
        return desk.run(path, desk.till.bench.app(), output=str(desk.folder / f"{n}.csv")).rows

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(one, range(3))) == [3, 3, 3]
    assert desk.refunded() == [[400], [400], [400]]


def test_users_are_told_after_their_refund_and_once(
    telling: Till, mailbox: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(telling, tmp_path)
    spoil(desk, monkeypatch)
    with pytest.raises(BatchIncomplete):
        desk.run(desk.all(), notify=True)
    others = desk.file(*((one, 400, "usd") for one in (desk.charges[0], desk.charges[2])))
    for _ in range(2):
        assert desk.run(others, notify=True).told == 2
    telling.hear()
    send_all(telling.app)
    told = [mail for mail in mailbox.mails if "refunded" in mail["Subject"]]
    assert sorted(mail["To"] for mail in told) == ["user2@example.com", "user@example.com"]
    assert {mail["Subject"] for mail in told} == {"We have refunded 4.00 USD"}
    assert "we have refunded 4.00 USD" in words(told[0])


def test_who_is_not_told_is_said(desk: Desk) -> None:
    done = desk.run(desk.all(), notify=True)
    assert (done.told, done.refunded) == (0, 3) and "MAIL_ENABLED is false" in done.note


def test_a_full_disk_hides_no_refund(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.all()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(batch.files, "write", full)
        with pytest.raises(ResultNotWritten, match=r"3 of 3 rows are refunded, but .*No space left") as told:
            desk.run(path)
    assert told.value.exit_code == 1
    again = desk.run(path)
    assert (again.refunded, again.refunded_before, len(results(again.output))) == (0, 3, 3)
    assert desk.refunded() == [[400], [400], [400]]


def test_a_file_without_a_header_is_no_refund_file(desk: Desk) -> None:
    path = desk.folder / "cut.csv"
    path.write_text("")
    with pytest.raises(BadBatch, match="the header must name charge"):
        desk.run(str(path), dry_run=True)


def test_a_plan_tells_what_would_go_back_and_what_it_adds_to(desk: Desk) -> None:
    desk.run(desk.all())
    plan = desk.run(desk.all(), dry_run=True)
    assert "nothing would go back" in plan.note
    first, second, _ = desk.charges
    plan = desk.run(desk.file((first, 450, "usd"), (second, 400, "usd")), dry_run=True)
    assert "4.50 USD would go back" in plan.note
    assert [one.detail for one in plan.refunds] == ["besides 4.00 USD given back before", "refunded before"]
    assert (plan.totals, plan.given_back, plan.open) == (["8.50 USD"], ["4.00 USD"], ["4.50 USD"])


def test_what_was_approved_is_what_is_done(desk: Desk) -> None:
    """Between the plan and its approval the file was written anew, or somebody gave back some of it."""
    first, second, third = desk.charges
    plan = desk.run(desk.file((first, 400, "usd"), (second, "", "usd")), dry_run=True).plan
    assert desk.run(desk.file((second, "", "usd"), (first, 400, "usd")), dry_run=True).plan == plan
    for rows in (
        ((first, 401, "usd"), (second, "", "usd")),
        ((first, 400, "usd"),),
        ((third, 400, "usd"), (second, "", "usd")),
    ):
        with pytest.raises(PlanChanged, match="none was made"):
            desk.run(desk.file(*rows), plan=plan)
    desk.till.bench.sandbox.post("/v1/refunds", charge=second, amount=100)
    path = desk.file((first, 400, "usd"), (second, "", "usd"))
    with pytest.raises(PlanChanged):
        desk.run(path, plan=plan)
    assert desk.refunded() == [[], [100], []]
    plan = desk.run(path, dry_run=True).plan
    assert desk.run(path, plan=plan).refunded == 2
    assert desk.run(path, plan=plan).refunded_before == 2, "as it may have to be after a crash"


def test_a_refund_that_the_bank_sent_back_is_made_anew(desk: Desk) -> None:
    path = desk.file((desk.charges[0], 400, "usd"))
    assert desk.run(path).refunded == 1
    for number in (1, 2):
        bounce(desk, desk.charges[0])
        planned = desk.run(path, dry_run=True)
        assert (planned.refunds[0].result, planned.refunded_before) == ("refund", 0)
        done = desk.run(path)
        assert (done.refunded, done.refunded_before) == (1, 0)
        assert desk.till.refunded(desk.charges[0]) == [400] * (number + 1)
        again = desk.run(path)
        assert (again.refunded, again.refunded_before) == (0, 1)


def bounce(desk: Desk, charge: str) -> None:
    """The bank takes none of the charge's refunds: the money is back at Stripe."""
    sandbox = desk.till.sandbox
    for one in sandbox.get("/v1/refunds", charge=charge, limit=100):
        sandbox.edit("refund", one["id"], status="failed")
    sandbox.edit("charge", charge, amount_refunded=0, refunded=False)
    desk.till.hear()
