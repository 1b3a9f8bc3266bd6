"""One user, one metric, one invoice: killed at every seam, and finished by whoever comes next."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from money_bench import Bench, Books
from money_seams import Pause, Seams, crashes, fragile

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
    deeds = ("customers", "invoices", "invoiceitems", "invoices finalize", "invoices pay")
    for call in (*(f"change {deed}" for deed in deeds), "fetch"):
        assert f"after {call}" in seams.passed
    assert seams.passed.count("before commit") == seams.passed.count("after commit") >= 14
    assert FEWEST < len(seams.passed) < MOST
    check(bench, "user", "none")
    bench.check_quiet()


def seams_of(bench: Bench) -> list[str]:
    """The seams of one whole run."""
    seams = Seams()
    app = fragile(bench, seams)
    bench.use(app, "first", 120)
    seams.passed.clear()
    bench.whole_run(app, "first")
    return list(seams.passed)


def crash_at_each(bench: Bench, seams: list[int]) -> None:
    heir, crashed = bench.app(), 0
    for seam in seams:
        user = f"user{seam}"
        bench.use(heir, user, 120)
        crashed += crashes(bench, user, seam)
        bench.pass_time()
        bench.work(heir)  # the worker alone finishes what was begun
        assert [one for one in bench.intents() if one[1] != "done"] == [], f"seam {seam}"
        bench.whole_run(heir, user)  # the command is given again, and Stripe delivers what was not acknowledged
        check(bench, user, seam)
    assert crashed > 0.9 * len(seams)  # a run may have a few seams less: calls are leased by the second
    bench.check_quiet()


def test_a_crash_at_any_commit_or_call_is_finished_with_nothing_twice(bench: Bench):
    """And after every fifth statement outside a transaction: most of them only read."""
    names = seams_of(bench)
    statements = [seam for seam, name in enumerate(names, 1) if name == "after statement"]
    others = [seam for seam, name in enumerate(names[:-2], 1) if name != "after statement"]
    assert len(others) > FEWEST
    crash_at_each(bench, sorted(others + statements[:-2:5]))


@pytest.mark.long
def test_a_crash_at_any_seam_is_finished_with_nothing_twice(bench: Bench):
    crash_at_each(bench, list(range(1, len(seams_of(bench)) - 2)))


@pytest.mark.long
def test_two_crashes_in_a_row_are_finished_with_nothing_twice(bench: Bench):
    draw, last, crashed = random.Random(2), len(seams_of(bench)), 0
    for round in range(15):
        user, seams = f"user{round}", (draw.randint(1, last), draw.randint(1, last // 2))
        bench.use(bench.app(), user, 120)
        for seam in seams:
            crashed += crashes(bench, user, seam)
            bench.pass_time()
        heir = bench.app()
        bench.work(heir)
        bench.whole_run(heir, user)
        check(bench, user, seams)
        heir.close()
    assert crashed > 20
    bench.check_quiet()


def test_two_workers_at_once_finish_what_a_crash_left(bench: Bench):
    draw, last = random.Random(3), len(seams_of(bench))
    workers = [bench.app(), bench.app()]
    for round in range(10):
        user, seam = f"user{round}", draw.randint(5, last)
        bench.use(workers[0], user, 120)
        crashes(bench, user, seam)
        bench.pass_time()
        start = threading.Barrier(2)

        def work(app, start=start):
            start.wait()
            bench.work(app)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, workers))
        bench.whole_run(workers[0], user)
        check(bench, user, seam)
    bench.check_quiet()


def test_a_process_that_was_paused_at_any_seam_while_another_took_over_does_nothing_twice(bench: Bench):
    """Its leases ran out; it wakes up and goes on where it was, with what it knew then."""
    other = bench.app()

    def take_over() -> None:
        bench.pass_time()
        bench.work(other)

    for seam, name in enumerate(seams_of(bench), 1):
        if seam % 2 or name == "before commit":
            continue
        user = f"user{seam}"
        bench.use(other, user, 120)
        app = fragile(bench, Pause(seam, take_over))
        bench.whole_run(app, user)
        app.close()
        bench.work(other)
        check(bench, user, f"{seam} {name}")
    bench.check_quiet()
