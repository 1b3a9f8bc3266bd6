"""What tests of metering share: an App of one's own, the law, an independent reader of access logs."""

from __future__ import annotations

import gzip
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from nself.app import App
from nself.config import find_project
from nself.core.clock import Clock
from nself.domains.customer import service as customer
from nself.domains.total import store as totals
from nself.domains.usage.inputs import UsageStatus
from nself.domains.usage.model import Conservation
from nself.domains.usage.service import show
from nself.registry import Registry

SAMPLE = Path(__file__).parents[2] / "shared" / "data" / "apache-access-2015-05.log.gz"
METRICS = """\
metrics:
  calls: {unit: request, aggregation: sum}
  logins: {unit: login, aggregation: count}
  peak: {unit: byte, aggregation: max}
  seats: {unit: seat, aggregation: last}
"""
PAGES = "  pages: {unit: page, aggregation: sum, group_by: [region], filter: {status: {below: 400}}}\n"
"""To be added: a metric that looks at properties."""
_numbers = itertools.count()


def steady(examples: int) -> settings:
    """The same examples in every run; NSELF_TEST_SEARCH=20 looks at twenty times as many, new ones each time."""
    more = int(os.environ.get("NSELF_TEST_SEARCH", "0"))
    return settings(
        max_examples=examples * (more or 1),
        derandomize=not more,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def fresh(prefix: str = "user") -> str:
    """A name that no other test of this process uses."""
    return f"{prefix}{next(_numbers)}-{os.getpid()}"


def people(app: App, *names: str) -> tuple[str, ...]:
    """Users that are known from now on; fresh ones where no names are given."""
    given = names or (fresh(),)
    customer.create_users(app, dict.fromkeys(given))
    return given


def status(app: App) -> Conservation:
    return show.status(app, UsageStatus())


def law(app: App) -> Conservation:
    """accepted = counted + duplicate + rejected + pending, the raw events agree, and the hours of all users with rollups."""
    found = status(app)
    assert found.accepted == found.counted + found.duplicate + found.rejected + found.pending, found
    counted = found.counted + found.pending - found.buffered
    assert found.raw_events + found.archived == counted + found.deduplicated + found.voided and found.balanced, found
    assert sum(reason.events for reason in found.rejected_by_reason) == found.rejected, found
    with app.db.reading() as tx:
        assert totals.drift(tx) == []
    return found


def invoice_month(app: App, user: str, month: str) -> None:
    """The UTC month, 2026-01, as it is once the overage of `calls` was planned: 1500 of 1000 for 5.00 USD."""
    start = datetime.fromisoformat(f"{month}-01T00:00Z")
    given = {
        "user": user,
        "operation": f"{user} {month}",
        "start": start,
        "end": (start + timedelta(days=32)).replace(day=1),
    }
    with app.db.transaction() as tx:
        tx.connection.execute(
            "insert into billing_invoice_plans (user_id, period_start, period_end, revision, operation, customer_id, currency,"
            " total_minor, livemode, planned_at)"
            " values (%(user)s, %(start)s, %(end)s, 1, %(operation)s, 'cus_1', 'usd', 500, false, now())",
            given,
        )
        tx.connection.execute(
            "insert into billing_invoice_plan_lines (operation, line, metric_type, period_start, period_end, used, limit_value,"
            " overage, price, billed_before_minor, amount_minor, description) values (%(operation)s, 'calls', 'calls', %(start)s,"
            """ %(end)s, 1500, 1000, 500, '{"model": "flat", "currency": "usd", "tiers": [{"amount": "0.01"}]}', 0, 500, 'calls')""",
            given,
        )


@contextmanager
def app_on(
    folder: Path, conninfo: str, clock: Clock | None = None, metrics: str | None = None, **environ: str
) -> Iterator[App]:
    """An App in `folder` on the database `conninfo`, with settings from `environ`."""
    config = folder / "services" / "billing" / "config"
    if metrics:
        config.mkdir(parents=True, exist_ok=True)
        (config / "usage-metrics.yml").write_text(metrics)
    folder.mkdir(exist_ok=True)
    environ = {"DATABASE_URL": conninfo, **environ}
    made = App(
        find_project(str(folder), {}, folder), Registry(), environ=environ, **({"clock": clock} if clock else {})
    )
    try:
        yield made
    finally:
        made.close()


@contextmanager
def database_on(server: str, template: str) -> Iterator[str]:
    """A migrated database for more than one test."""
    name = fresh("metering").replace("-", "_")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template} strategy file_copy".encode())
        try:
            yield psycopg.conninfo.make_conninfo(server, dbname=name)
        finally:
            connection.execute(f"drop database {name} with (force)".encode())


def sample() -> Path:
    """The access log of /shared, which is no part of the repository."""
    if not SAMPLE.exists():
        pytest.skip(f"{SAMPLE} is not here: the sample is shared beside the repository, not in it")
    return SAMPLE


def count_access_log(path: Path) -> tuple[Counter[str], Counter[str]]:
    """Lines and bytes by client address, by splitting at blanks: shares nothing with the product's reader."""
    lines, sent = Counter[str](), Counter[str]()
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        host = line.split(" ", 1)[0]
        size = re.search(r'" \d\d\d (\d+|-)(?: |$)', line)
        assert size, line
        lines[host] += 1
        sent[host] += 0 if size[1] == "-" else int(size[1])
    return lines, sent


def short(value: object) -> str:
    """Name of a parametrised test, whatever its parameter."""
    return ascii(value)[:40]
