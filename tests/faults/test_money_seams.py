"""One user, one metric, one invoice: killed at every seam, and finished by whoever comes next."""

from __future__ import annotations

from money_bench import Bench, Books
from money_seams import Seams, crashes, fragile

ONCE = Books(1, [("paid", 500)], [("api_calls", 500)], [500])
FEWEST, MOST = 40, 400


def check(bench: Bench, user: str, seam: object) -> None:
    assert bench.books(user) == ONCE, f"seam {seam}"
    mirrored = bench.sql(
        "select status, total_minor, amount_paid_minor from billing_invoices join billing_customers using (customer_id)"
        " where user_id = %s",
        user,
    )
    assert mirrored == [("paid", 500, 500)], f"seam {seam}"


def test_a_run_has_seams_at_every_commit_and_call(bench: Bench):
    seams = Seams()
    app = fragile(bench, seams)
    bench.use(app, "user", 120)
    seams.passed.clear()
    bench.whole_run(app, "user")
    for call in ("create_customer", "create_invoice", "add_invoice_item", "finalize_invoice", "pay_invoice", "invoice"):
        assert f"after {call}" in seams.passed
    assert seams.passed.count("before commit") == seams.passed.count("after commit") >= 14
    assert FEWEST < len(seams.passed) < MOST
    check(bench, "user", "none")
    bench.check_quiet()


def test_a_crash_at_any_seam_is_finished_with_nothing_twice(bench: Bench):
    seam, heir = 0, bench.app()
    while True:
        seam += 1
        user = f"user{seam}"
        bench.use(heir, user, 120)
        if not crashes(bench, user, seam):
            break
        bench.pass_time()
        bench.work(heir)  # the worker alone finishes what was begun
        assert [one for one in bench.intents() if one[1] != "done"] == [], f"seam {seam}"
        bench.whole_run(heir, user)  # the command is given again, and Stripe delivers what was not acknowledged
        check(bench, user, seam)
    assert FEWEST < seam < MOST
    bench.check_quiet()
