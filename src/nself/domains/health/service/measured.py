"""How much, how often, how long: over a span of time, and beside an earlier one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from nself.app import App
from nself.core.entrypoint import Rows
from nself.core.period import Period, since
from nself.db.server import DatabaseUnavailable
from nself.domains.health import rules, store
from nself.domains.health.inputs import ShowMetrics, ShowPerformance, ShowRequests, ShowTimeouts
from nself.domains.health.model import Metric, Performance, Timeout
from nself.domains.measurement import service as measurement
from nself.domains.measurement.model import Total
from nself.domains.uptime.service import show as uptime

SOON = timedelta(minutes=1)
"""The minute that is under way belongs to the last hour."""
RECENT = timedelta(hours=1)


def span(app: App, last: str, until: datetime | None = None) -> Period:
    """The time `last` before `until`, by default now. Raises InvalidParameter."""
    end = until or app.clock()
    return Period(since(last, end, app.timezone, "last"), end + SOON)


def metrics(app: App, given: ShowMetrics) -> Rows[Metric]:
    """Of all processes of this project."""
    wanted = span(app, given.last)
    with app.db.reading() as tx:
        found = measurement.between(tx, wanted)
    rows = rules.metrics(found, wanted, percentiles=given.show_percentiles)
    return Rows(rows, [] if rows else [f"nothing was measured in the last {given.last}"])


def requests(app: App, given: ShowRequests) -> Rows[Metric]:
    """Requests to Stripe and to our API."""
    wanted = span(app, given.last)
    with app.db.reading() as tx:
        found = measurement.between(tx, wanted)
    rows = rules.metrics([one for one in found if one.name in (rules.HTTP, rules.STRIPE)], wanted, percentiles=True)
    return Rows(rows, [] if rows else [f"no request in the last {given.last}"])


def performance(app: App, given: ShowPerformance) -> Rows[Performance]:
    """How long requests, calls and work took; each look is what the next --compare compares with."""
    wanted = span(app, given.last)

    with app.db.transaction() as tx:
        asked = store.last_look(tx)
        now = measurement.between(tx, wanted)
        before = measurement.between(tx, span(app, given.last, asked)) if asked and given.compare else None
        store.look(tx, app.clock())
    notes = [] if now else [f"nothing was measured in the last {given.last}"]
    if given.compare:
        compared = f"compared with the {given.last} before {asked:%Y-%m-%dT%H:%M:%SZ}" if asked else ""
        notes.append(compared or "this is the first look: the next one will be compared with it")
    notes += [*one_by_one(app), *crowded(app)]
    return Rows(rules.performance(now, before), notes)


TIMEOUTS = {
    "API_TIMEOUT": "one HTTP request to us; longer ones are answered with 504",
    "STRIPE_TIMEOUT": "one answer of Stripe; a call with its retries takes twice that at most",
    "DB_QUERY_TIMEOUT": "one statement; PostgreSQL cancels it",
    "BILLING_DB_POOL_TIMEOUT": "waiting for a free database connection",
    "DB_LOCK_TIMEOUT": "waiting for a lock on a table that is emptied",
    "WEBHOOK_TIMEOUT": "processing one event; it is tried again later",
    "PDF_TIMEOUT": "making one PDF",
    "ARCHIVE_S3_TIMEOUT": "one answer of the archive's store",
    "BILLING_DRAIN_TIMEOUT": "finishing a step when a service is stopped",
    "QUOTA_RESERVATION_TTL": "a reservation without a commit",
    "BILLING_USE_QUEUE": "false: whoever asks for a long operation waits for its end",
}


def timeouts(app: App, given: ShowTimeouts) -> Rows[Timeout]:
    """Each limit of time, where its value comes from, and what it limits; and what takes long below them."""
    try:
        notes = [*slow_routes(app), *cut_off(app), *blocking(app)]
    except DatabaseUnavailable as error:
        notes = [f"what takes long is not known: {error.message}"]
    rows = [
        Timeout(name=name, value=value.text, origin=value.origin, limits=limits)
        for name, limits in TIMEOUTS.items()
        for value in (app.settings.value(name),)
    ]
    return Rows(rows, notes)


def slow_routes(app: App) -> list[str]:
    """One sentence a route whose requests take long by our own work, since http was started, within the last hour."""
    return _since_start(app, rules.slow_routes)


def cut_off(app: App) -> list[str]:
    """What limits of time that are too short cut off since then."""
    return _since_start(app, lambda found: rules.too_short(app.settings, found))


def crowded(app: App) -> list[str]:
    """That services waited for a database connection since then, having too few."""
    return _since_start(app, lambda found: [said] if (said := rules.crowded(app.settings, found)) else [])


def one_by_one(app: App) -> list[str]:
    """That settings made most calls to Stripe needless, in the last hour."""
    return [said] if (said := rules.one_by_one(app.settings, _recent(app))) else []


def blocking(app: App) -> list[str]:
    """One sentence a long operation that requests waited for in the last hour."""
    return rules.blocking(app.settings, _recent(app))


def _recent(app: App) -> list[Total]:
    with app.db.reading() as tx:
        return measurement.between(tx, Period(app.clock() - RECENT, app.clock() + SOON))


def _since_start(app: App, judged: Callable[[list[Total]], list[str]]) -> list[str]:
    """The minute of the start does not count: measurements are kept by minute."""
    now = app.clock()
    with app.db.reading() as tx:
        started = uptime.started_at(tx, "http", now)
        if started is None:
            return []
        first = max(started.replace(second=0, microsecond=0) + SOON, now - RECENT)
        found = measurement.between(tx, Period(first, now + SOON))
    return [f"{one} since {first:%H:%M} UTC" for one in judged(found)]
