"""What is a leak, what a large set of data, what a slow operation, and what is none of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nself.app import App
from nself.config import find_project
from nself.core.settings import Settings
from nself.domains.health import rules
from nself.domains.measurement.model import Total
from nself.domains.uptime.model import Outgrown, Sample
from nself.domains.uptime.rules import longest
from nself.measure import BOUNDS, Measured
from nself.registry import Registry

START = datetime(2026, 1, 15, 12, tzinfo=UTC)
MB = 2**20


def settings(folder: Path, **given: str) -> Settings:
    return App(find_project(str(folder), {}, folder), Registry(), environ={**given}).settings


def lived(minutes: int, size: Callable[[int], float]) -> list[Sample]:
    """A process that has `size` megabytes in each minute."""
    return [sample(minute, size(minute)) for minute in range(minutes)]


def sample(minute: int, low: float, high: float | None = None, doing: str = "", seconds: float = 0) -> Sample:
    return Sample(
        run="run", service="http", pid=7, at=START + timedelta(minutes=minute), low=int(low * MB),
        high=int((high or low) * MB), doing=doing, seconds=seconds,
    )  # fmt: skip


def test_steady_growth_is_a_leak() -> None:
    assert rules.grown(lived(100, lambda minute: 100 + minute)) == (105 * MB, 174 * MB, 94)
    assert rules.grown(lived(100, lambda minute: 40 + minute * 0.5 + (minute % 7) * 3)), "also with garbage between"


@pytest.mark.parametrize(
    "size",
    [
        lambda minute: 100,
        lambda minute: 100 + (minute % 11) * 20,
        lambda minute: min(200, 50 + minute * 30),
        lambda minute: 100 if minute < 50 else 400,
        lambda minute: 100 + minute * 0.1,
        lambda minute: 400 - minute,
        lambda minute: 1000 + minute,
    ],
    ids=["level", "garbage", "caches that fill", "loaded once", "little", "falls", "little of much"],
)  # fmt: skip
def test_what_does_not_grow_steadily_is_no_leak(size: Callable[[int], float]) -> None:
    assert rules.grown(lived(100, size)) is None


def test_growth_of_a_short_time_is_no_leak_yet() -> None:
    assert rules.grown(lived(60, lambda minute: 50 + minute * 5)) is None
    assert rules.grown([]) is None


def test_a_jump_is_a_large_set_and_names_what_took_longest() -> None:
    samples = lived(30, lambda minute: 50)
    samples[20] = sample(20, 50, 400, "http_request GET /api/v1/usage", 0.2)
    samples[21] = sample(21, 50, doing="http_request GET /api/v1/customers", seconds=3.2)
    found = rules.jumped(samples)
    assert found == (50 * MB, samples[20])
    assert rules.doing(samples, found[1]) == "http_request GET /api/v1/customers (3.2 s)"
    assert rules.doing(lived(3, lambda minute: 50), samples[0]) == "nothing that is measured"


def test_what_is_loaded_and_kept_is_a_jump_too_and_no_leak() -> None:
    samples = lived(100, lambda minute: 100 if minute < 50 else 400)
    assert rules.jumped(samples) == (100 * MB, samples[50])


def test_small_peaks_and_a_leak_are_no_jump() -> None:
    assert rules.jumped([]) is None
    assert rules.jumped([sample(0, 60, 180), sample(1, 60)]) is None, "less than matters"
    assert rules.jumped([sample(0, 600, 800), sample(1, 600)]) is None, "little of much"
    assert rules.jumped(lived(100, lambda minute: 50 + minute * 10)) is None


def total(name: str, labels: tuple[str, ...], *seconds: float) -> Total:
    counts = [0] * (len(BOUNDS) + 1)
    for one in seconds:
        counts[bisect_left(BOUNDS, one)] += 1
    return Total(name, list(labels), len(seconds), sum(seconds), counts)


def asked(*seconds: float, status: str = "200") -> Total:
    return total("http_request", ("GET", "/api/v1/invoices", status), *seconds)


def stripe(*seconds: float) -> Total:
    return total("stripe_request", ("GET", "invoices", "ok"), *seconds)


def test_a_route_that_takes_long_most_of_the_time_is_slow() -> None:
    (said,) = rules.slow_routes([asked(*[4.0] * 6), stripe(*[0.1] * 50)])
    assert said.startswith("GET /api/v1/invoices: half of 6 requests took 4.6 s")


@pytest.mark.parametrize(
    "totals",
    [
        [asked(*[0.05] * 500)],
        [asked(*[0.05] * 500, *[9.0] * 20)],
        [asked(*[9.0] * 4)],
        [asked(*[5.0] * 20, status="504")],
        [asked(*[5.0] * 20), stripe(*[2.0] * 40)],
        [total("job", ("backup", "ok"), *[60.0] * 10)],
    ],
    ids=["quick", "some wait", "few", "cut off (8.4.1)", "Stripe is slow (8.4.3)", "nobody waits"],
)
def test_what_is_no_slow_operation(totals: list[Total]) -> None:
    assert rules.slow_routes(totals) == []


def test_a_limit_of_memory_is_too_low_where_services_come_close_to_it() -> None:
    assert rules.short_of_memory(120 * MB, {"http": 59 * MB, "worker": 95 * MB}, []) == []
    assert rules.short_of_memory(120 * MB, {"http": 59 * MB, "worker": 96 * MB}, []) == ["worker has 96 MB of it"]
    (said,) = rules.short_of_memory(120 * MB, {}, [Outgrown(service="http", times=3, most=130 * MB)])
    assert said == "http was started anew 3 times since it had more, 130 MB at most"


def waits(*seconds: float, outcome: str = "waited") -> Total:
    return total("database", (outcome,), *seconds)


def test_a_small_pool_is_a_cause_where_somebody_waits(tmp_path: Path) -> None:
    small = settings(tmp_path, BILLING_DB_POOL_SIZE="2")
    said = rules.crowded(small, [waits(*[0.5] * 6), asked(*[4.0] * 6)])
    assert said == "6 times somebody waited for a database connection, 0.5 s on average"
    assert rules.crowded(small, [asked(*[0.1] * 500), waits(0.1, 0.2), waits(*[0.0] * 9, outcome="cancelled")]) is None
    assert rules.crowded(settings(tmp_path), [waits(*[0.5] * 50)]) is None, "as many as threads: the database is busy"


def read(kind: str, count: int, method: str = "get") -> Total:
    return total("stripe_request", (method, kind, "ok"), *[0.1] * count)


SINGLY = [read("prices", 70), read("tax_rates", 50), read("invoices", 100), read("payment_intents", 500, "post")]


def test_looking_up_one_by_one_is_a_cause_where_it_is_most_of_what_is_read(tmp_path: Path) -> None:
    cached = {"STRIPE_ENABLE_CACHE": "true"}
    singly = settings(tmp_path, STRIPE_BATCH_REQUESTS="false", **cached)
    assert rules.one_by_one(singly, SINGLY) == (
        "120 of 220 calls that read from Stripe asked for prices, products and tax rates one by one: "
        "STRIPE_BATCH_REQUESTS is false"
    )
    uncached = settings(tmp_path, STRIPE_BATCH_REQUESTS="false")
    assert rules.one_by_one(uncached, SINGLY) is None, (
        "batches are of no use without the cache, and that is off by default"
    )
    told = rules.one_by_one(uncached, [read("prices", 1_000), read("invoices", 500)])
    assert (told or "").endswith("STRIPE_ENABLE_CACHE and STRIPE_BATCH_REQUESTS are false")
    assert rules.one_by_one(singly, [read("prices", 99)]) is None, "few"
    assert rules.one_by_one(singly, [read("prices", 120), read("invoices", 120)]) is None, "not most"
    assert rules.one_by_one(settings(tmp_path, **cached), SINGLY) is None, "no setting would spare them"


def operated(name: str, asker: str, *seconds: float, outcome: str = "ok") -> Total:
    return total("operation", (name, asker, outcome), *seconds)


def test_a_long_operation_blocks_where_a_request_waited_for_it(tmp_path: Path) -> None:
    totals = [
        operated("sync.reconcile", "request", 9.0),
        operated("sync.reconcile", "request", 5.0, outcome="failed"),
        operated("invoice.generate", "request", 0.5),
        operated("archive.archive_usage", "command", 300.0),
    ]
    told = "sync.reconcile kept 2 requests waiting for 7.0 s on average"
    assert rules.blocking(settings(tmp_path), totals) == [f"{told}: BILLING_ASYNC_OPERATIONS is false"]
    later = {"BILLING_ASYNC_OPERATIONS": "true"}
    off = settings(tmp_path, BILLING_USE_QUEUE="false", **later)
    assert rules.blocking(off, totals) == [f"{told}: BILLING_USE_QUEUE is false"]
    assert rules.blocking(settings(tmp_path, **later), totals) == [], "the queue takes them"
    assert [rules.is_error(one) for one in totals] == [False, True, False, False]


CUT_OFF = [asked(*[1.0] * 3, status="504"), waits(0.0, 0.0, outcome="cancelled"), waits(1.0, outcome="no_connection")]


def test_a_short_limit_is_a_cause_where_it_cut_something_off(tmp_path: Path) -> None:
    short = settings(tmp_path, API_TIMEOUT="1s", DB_QUERY_TIMEOUT="2s", BILLING_DB_POOL_TIMEOUT="1s")
    assert rules.too_short(short, CUT_OFF) == [
        "API_TIMEOUT=1s: 3 requests were answered with 504",
        "DB_QUERY_TIMEOUT=2s: 2 statements were cancelled",
        "BILLING_DB_POOL_TIMEOUT=1s: 1 times no database connection became free",
    ]
    assert rules.too_short(short, [asked(*[0.9] * 500), waits(*[0.5] * 20)]) == []
    assert rules.too_short(settings(tmp_path, API_TIMEOUT="10s", DB_QUERY_TIMEOUT="0"), CUT_OFF) == []


def test_the_longest_of_what_was_counted_is_named_without_its_outcome() -> None:
    quick = Measured("http_request", ("GET", "/api/v1/usage", "200"), 1, 0.01, asked(0.01).counts)
    slow = Measured("job", ("reconcile", "ok"), 2, 9.1, asked(0.1, 9.0).counts)
    assert longest([quick, slow]) == ("job reconcile", BOUNDS[bisect_left(BOUNDS, 9.0)])
    assert longest([]) == ("", 0.0)
