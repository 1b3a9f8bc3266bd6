"""A refund batch that is killed anywhere is gone on with by the next one; a key that is replaced loses nothing."""

from __future__ import annotations

from pathlib import Path

from money_bench import Bench
from test_refund_batch import Desk

from killing import run_and_kill
from nself.domains.connection.service import intents
from nself.domains.payment.inputs import RefundFile
from nself.domains.payment.service import batch
from paying import Till


def test_a_batch_that_is_killed_is_gone_on_with(till: Till, tmp_path: Path) -> None:
    desk = Desk(till, tmp_path)
    path, killed = desk.all(), 0

    def work() -> None:
        batch.refund_file(till.bench.app(), RefundFile(input=path, reason="billing_error", notify=True))

    for line in (40, 75, 110, 130):
        killed += run_and_kill({"batch.py"}, line, work)
    assert killed >= 3
    till.bench.pass_time()
    done = desk.run(path)
    assert done.refunded + done.refunded_before == 3
    assert desk.refunded() == [[400], [400], [400]]


def test_a_payment_begun_under_a_revoked_key_is_made_once(bench: Bench) -> None:
    till = Till(bench)
    old = "sk_test_exposed"
    before = bench.app(STRIPE_SECRET_KEY=old)
    bench.sandbox.fault("/v1/payment_intents", times=20, after=True, drop=True)
    children = [(40, "k1"), (60, "k2")]
    for line, key in children:
        run_and_kill(
            {"intents.py"}, line, lambda key=key: till.pay(bench.app(STRIPE_SECRET_KEY=old), idempotency_key=key)
        )
    assert [one[1] for one in bench.intents() if one[1] == "pending"], "nothing is under way"
    bench.sandbox.admin("faults/clear")
    bench.sandbox.admin("keys/revoke", key=old)
    bench.pass_time(0)
    intents.perform_due(before)
    pending = [one[1] for one in bench.intents() if one[1] == "pending"]
    assert pending, "the revoked key ended what it could not do"
    bench.pass_time(0)
    after = bench.app(STRIPE_SECRET_KEY="sk_test_fresh")
    for key in ("k1", "k2"):
        till.pay(after, idempotency_key=key)
    assert till.charged() == [1000, 1000]
