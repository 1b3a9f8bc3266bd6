"""Judgements on the whole system. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from nself.core.period import Period
from nself.core.settings import Settings
from nself.domains.connection.rules import MANY_LOOKED_UP, RARELY_CHANGE
from nself.domains.health.model import Check, Metric, Performance, State
from nself.domains.measurement.model import Total
from nself.domains.measurement.rules import joined, percentile
from nself.domains.uptime.model import Outgrown, Sample

DISK_LOW, DISK_FULL = 10, 3
MEMORY_LOW = 5
"""Percent that are free."""
CONNECTIONS_HIGH = 90
"""Percent that are used."""
LATE = timedelta(minutes=10)
FAILING = 20
"""Percent of the calls of the last minutes."""
SLOWER = 20
"""Percent: the percentiles are right to a fifth."""
SLOWEST = 5
EXAMPLE = 200
"""Characters."""
HTTP, STRIPE, JOB, CACHE, DATABASE = "http_request", "stripe_request", "job", "stripe_cache", "database"
OPERATION = "operation"
KINDS = {
    HTTP: "HTTP requests",
    STRIPE: "calls to Stripe",
    JOB: "scheduled work",
    "webhook": "processing of events",
    "mail": "mails and notifications",
    "pdf": "PDFs",
}
GOOD = ("ok", "resource_missing", "card_declined", "suppressed", "hit", "miss", "waited")
"""Outcomes that are no failure of ours."""
P50, P95, P99 = Decimal("0.5"), Decimal("0.95"), Decimal("0.99")


CAUSES = {
    ("services", "http"): "6.1.1", ("services", "usage-collector"): "2.1.1", ("services", "pdf-generator"): "4.4.1", ("services", "mail"): "4.5",
    ("services", "worker"): "6.3", ("services", "postgres"): "2.1.2", ("database", "answers"): "2.1.2", ("database", "connections"): "8.1.4",
    ("stripe", "key"): "1.1", ("stripe", "resolve"): "1.4.2", ("stripe", "connect"): "1.4", ("stripe", "proxy"): "1.4.3", ("stripe", "tls"): "1.4",
    ("stripe", "answer"): "1.1", ("stripe", "clock"): "1.2.3", ("stripe", "permissions"): "1.1.3", ("stripe", "calls"): "1.3", ("stripe", "changes"): "7.1",
    ("stripe", "charging"): "",
    ("usage", "aggregation"): "2.2", ("usage", "conservation"): "2.3", ("quotas", "enforcement"): "5.1.1", ("quotas", "resets"): "5.3",
    ("webhooks", "processing"): "6.3", ("jobs", "stuck"): "2.2", ("documents", "pdfs"): "4.4", ("machine", "disk"): "8.2.4", ("machine", "database disk"): "8.2.4",
    ("machine", "memory"): "8.3",
}  # fmt: skip
"""Component and check -> the root cause that it shows, the issue where it may be any of four, or none."""
ISSUES = {
    "database": "8.2",
    "stripe": "1.1",
    "usage": "2.1",
    "webhooks": "6.1",
    "quotas": "5.1",
    "mail": "4.5",
    "documents": "4.4",
}


def check(component: str, name: str, state: State, detail: str, help: str = "") -> Check:
    wrong = state != "ok"
    cause = CAUSES.get((component, name), ISSUES.get(component, ""))
    return Check(
        component=component,
        check=name,
        state=state,
        detail=detail,
        help=help if wrong else "",
        cause=cause if wrong else "",
    )


def free(component: str, name: str, percent: int, low: int, full: int, detail: str, help: str) -> Check:
    """Of something that may run out; `percent` is what is left."""
    state: State = "failed" if percent < full else "warning" if percent < low else "ok"
    return check(component, name, state, detail, help)


def is_error(one: Total) -> bool:
    """By its outcome, the last label; what a caller did wrong is no error of ours."""
    outcome = one.labels[-1] if one.labels else "ok"
    if one.name == HTTP:
        return outcome.startswith("5")
    return outcome not in GOOD


def milliseconds(seconds: float | None) -> Decimal | None:
    """With one digit."""
    return None if seconds is None else Decimal(round(seconds * 10_000)).scaleb(-1)


def what(one: Total) -> str:
    """Labels without the outcome."""
    return " ".join(one.labels[:-1]) or one.name


def per_minute(count: int, span: Period) -> Decimal:
    """With one digit."""
    minutes = max(1, int((span.end - span.start).total_seconds()) // 60)
    return Decimal(count * 10 // minutes).scaleb(-1)


def metrics(totals: Iterable[Total], span: Period, *, percentiles: bool) -> list[Metric]:
    """One a measure and what was measured, all outcomes together."""
    grouped = by_what(totals)
    return [_metric(name, label, grouped[name, label], span, percentiles) for name, label in sorted(grouped)]


def by_what(totals: Iterable[Total]) -> dict[tuple[str, str], list[Total]]:
    """All outcomes together."""
    grouped = dict[tuple[str, str], list[Total]]()
    for one in totals:
        grouped.setdefault((one.name, what(one)), []).append(one)
    return grouped


def _metric(name: str, label: str, found: Sequence[Total], span: Period, percentiles: bool) -> Metric:
    whole = joined(found)
    shares = quantiles(whole) if percentiles else (None, None, None)
    return Metric(
        measure=name,
        what=label,
        count=whole.count,
        per_minute=per_minute(whole.count, span),
        errors=sum(one.count for one in found if is_error(one)),
        average_ms=milliseconds(whole.seconds / whole.count) if whole.count else None,
        p50_ms=shares[0],
        p95_ms=shares[1],
        p99_ms=shares[2],
    )


def quantiles(one: Total) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """p50, p95 and p99 in milliseconds."""
    return (
        milliseconds(percentile(one.counts, P50)),
        milliseconds(percentile(one.counts, P95)),
        milliseconds(percentile(one.counts, P99)),
    )


def performance(now: Sequence[Total], before: Sequence[Total] | None) -> list[Performance]:
    """One a measure, then the slowest."""
    rows = [_performance(said, _of(now, name), _of(before or (), name)) for name, said in KINDS.items()]
    here, there = by_what(now), by_what(before or ())
    slowest = sorted(here, key=lambda key: quantiles(joined(here[key]))[1] or 0, reverse=True)[:SLOWEST]
    return rows + [_performance(key[1], here[key], there.get(key, [])) for key in slowest]


def _of(totals: Sequence[Total], name: str) -> list[Total]:
    return [one for one in totals if one.name == name]


def _performance(said: str, found: Sequence[Total], before: Sequence[Total]) -> Performance:
    whole, old = joined(found), quantiles(joined(before))[1]
    p50, p95, p99 = quantiles(whole)
    change = None if old is None or p95 is None else int((p95 - old) * 100 / max(old, Decimal("0.1")))
    return Performance(
        what=said,
        count=whole.count,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        before_p95_ms=old,
        change_percent=change,
        note=_change(change),
    )


def _change(percent: int | None) -> str:
    if percent is None or abs(percent) <= SLOWER:
        return ""
    return "slower" if percent > 0 else "faster"


def said(line: Mapping[str, object]) -> str:
    """What a log line tells of, with the code where it has one; lines of the same kind say the same."""
    return " ".join(str(line[one]) for one in ("message", "code") if line.get(one))


def told_at(line: Mapping[str, object]) -> datetime:
    """When; long ago where that cannot be read."""
    try:
        return datetime.fromisoformat(str(line.get("time")))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def example(line: Mapping[str, object]) -> str:
    """What one such line says beyond that, cut."""
    known = ("time", "level", "service", "message", "code", "traceback")
    detail = line.get("detail") or line.get("error")
    return str(detail or " ".join(f"{name}={value}" for name, value in line.items() if name not in known))[:EXAMPLE]


# ---- Settings that make operations slow ----

LEAST_POOL = 4
"""Connections: a service has more threads that need one than that."""
SHORTEST = {
    "API_TIMEOUT": (5.0, HTTP, "504", "requests were answered with 504"),
    "DB_QUERY_TIMEOUT": (5.0, DATABASE, "cancelled", "statements were cancelled"),
    "BILLING_DB_POOL_TIMEOUT": (3.0, DATABASE, "no_connection", "times no database connection became free"),
}
"""Seconds that work which is quite in order takes on a busy day, and what is measured where the limit cuts it off."""
QUEUED = ("BILLING_ASYNC_OPERATIONS", "BILLING_USE_QUEUE")
"""Both leave long operations to the worker."""
MANY_UNCACHED = 1_000
"""Look-ups in an hour from which on the cache is worth its while: without it, as it is by default, each is a call."""
LONG_OPERATION = 5.0
"""Seconds from which on whoever asks should not wait for it."""
MEMORY_SHORT = 80
"""Percent of the limit that a service has."""


def one_by_one(settings: Settings, totals: Sequence[Total]) -> str | None:
    """That most of what was read from Stripe is what hardly ever changes, since a setting has it asked for again and again."""
    off = [name for name in ("STRIPE_ENABLE_CACHE", "STRIPE_BATCH_REQUESTS") if not settings.flag(name)]
    least = MANY_LOOKED_UP if settings.flag("STRIPE_ENABLE_CACHE") else MANY_UNCACHED
    read = [one for one in totals if one.name == STRIPE and one.labels[0] == "get"]
    calls = sum(one.count for one in read)
    looked_up = sum(one.count for one in read if one.labels[1] in RARELY_CHANGE)
    if not off or looked_up < least or 2 * looked_up <= calls:
        return None
    return (
        f"{looked_up} of {calls} calls that read from Stripe asked for prices, products and tax rates one by one: "
        f"{' and '.join(off)} {'is' if len(off) == 1 else 'are'} false"
    )


def blocking(settings: Settings, totals: Sequence[Total]) -> list[str]:
    """Long operations that kept a request waiting, though a setting would leave them to the worker."""
    off = [name for name in QUEUED if not settings.flag(name)]
    if not off:
        return []
    waited = by_what(one for one in totals if one.name == OPERATION and one.labels[1] == "request")
    found = [(one[0].labels[0], joined(one)) for one in waited.values()]
    return [
        f"{name} kept {all.count} request{'s' if all.count > 1 else ''} waiting for {all.seconds / all.count:.1f} s on average: "
        f"{off[0]} is false"
        for name, all in sorted(found)
        if all.seconds >= LONG_OPERATION * all.count
    ]


def too_short(settings: Settings, totals: Sequence[Total]) -> list[str]:
    """What short limits of time cut off, a sentence each."""
    return [
        f"{name}={settings.value(name).text}: {count} {said}"
        for name, (least, measure, outcome, said) in SHORTEST.items()
        if 0 < settings.seconds(name) < least and (count := _times(totals, measure, outcome))
    ]


def crowded(settings: Settings, totals: Sequence[Total]) -> str | None:
    """That threads wait for each other's connection, where there are fewer than threads need."""
    waits = joined(one for one in totals if one.name == DATABASE and one.labels[-1] != "cancelled")
    if settings.integer("BILLING_DB_POOL_SIZE") >= LEAST_POOL or waits.count < OFTEN:
        return None
    return (
        f"{waits.count} times somebody waited for a database connection, {waits.seconds / waits.count:.1f} s on average"
    )


def _times(totals: Iterable[Total], measure: str, outcome: str) -> int:
    return sum(one.count for one in totals if one.name == measure and one.labels[-1] == outcome)


def short_of_memory(limit: int, used: Mapping[str, int], ended: Iterable[Outgrown]) -> list[str]:
    """Services that the limit ended, and those that are close to it."""
    told = [
        f"{one.service} was started anew {one.times} times since it had more, {one.most // 2**20} MB at most"
        for one in ended
    ]
    close = [
        f"{name} has {size // 2**20} MB of it" for name, size in used.items() if size * 100 >= limit * MEMORY_SHORT
    ]
    return told + close


LONG, OFTEN = 2.0, 5
"""Seconds that no request takes by our own work, and of how many requests of a route."""
STRIPE_SLOW = 0.5
"""Seconds: from here on a call to Stripe is what requests wait for."""


def slow_routes(totals: Sequence[Total]) -> list[str]:
    """Of which most requests take long, the slowest first; none where it is Stripe that is slow."""
    stripe = joined(one for one in totals if one.name == STRIPE)
    if (percentile(stripe.counts, P50) or 0) >= STRIPE_SLOW:
        return []
    answered = [one for one in totals if one.name == HTTP and one.labels[-1] != "504"]
    found = [(joined(parts), label) for (_, label), parts in by_what(answered).items()]
    slow = [
        (half, whole, label)
        for whole, label in found
        if whole.count >= OFTEN and (half := percentile(whole.counts, P50) or 0) >= LONG
        and whole.seconds / whole.count >= LONG
    ]  # fmt: skip
    return [
        f"{label}: half of {whole.count} requests took {half:.1f} s or longer"
        for half, whole, label in sorted(slow, key=lambda one: -one[0])
    ]


# ---- How the memory of one process went on ----

WARM, ENOUGH = 5, 60
"""Minutes: a process fills its caches at first; what rises for so long after that rises on."""
PARTS = 4
GROWN, JUMPED = 16 * 2**20, 128 * 2**20
"""Bytes."""


def grown(samples: Sequence[Sample]) -> tuple[int, int, int] | None:
    """Bytes at first, bytes at last and the minutes between, where it grows steadily: each part of the time bears its share.

    What was loaded once and kept makes one step, and is none.
    """
    later = samples[WARM:]
    if len(later) < ENOUGH:
        return None
    size = len(later) // PARTS
    lows = [min(one.low for one in later[part * size : (part + 1) * size]) for part in range(PARTS)]
    whole = lows[-1] - lows[0]
    if whole < GROWN or whole * 2 < lows[0]:
        return None
    if any((after - before) * 8 < whole for before, after in pairwise(lows)):
        return None
    return lows[0], lows[-1], round((later[-1].at - later[0].at).total_seconds() / 60)


def jumped(samples: Sequence[Sample]) -> tuple[int, Sample] | None:
    """What it had just before, and the minute in which it had much more: the worst one."""
    found = [
        (least, one)
        for before, one in pairwise([samples[0], *samples])
        if one.high - (least := min(before.low, one.low)) >= JUMPED and one.high >= 2 * least
    ] if samples else []  # fmt: skip
    return max(found, key=lambda one: one[1].high - one[0], default=None)


def doing(samples: Sequence[Sample], peak: Sample) -> str:
    """What took longest about the minute of `peak`: what was under way then may have ended in the next one."""
    about = [one for one in samples if 0 <= (one.at - peak.at).total_seconds() <= 60 and one.doing]
    longest = max(about, key=lambda one: one.seconds, default=None)
    return f"{longest.doing} ({longest.seconds:.1f} s)" if longest else "nothing that is measured"
