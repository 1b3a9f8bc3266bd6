"""Archiving a month of raw usage: to Parquet in an S3-compatible store, read back, dropped; and restoring it.

    bench_archive.py [--events N]

Limit: COPY TO STDOUT of the same rows on the same server in the same run. The store is moto, in Python, on the same
cores; what it takes is in the wall time, not in the processor time of the archiving process.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from common import report

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from metering import app_on
from nself.app import App
from nself.db.migrate import migrate
from nself.db.server import temporary_server
from nself.domains.archive.inputs import ArchiveUsage, RestoreUsage
from nself.domains.archive.service import archive, restore
from nself.domains.usage.service import record
from object_store import KEYS, moto

USERS = 5000
FILL = """
insert into billing_usage_keys (user_id, idempotency_key, digest)
select 'user' || n %% %(users)s, md5(n::text), decode(md5(n::text), 'hex') from generate_series(1, %(events)s) n;
insert into billing_usage (user_id, metric_type, value, created_at, idempotency_key, properties, source, recorded_at)
select 'user' || n %% %(users)s, 'api_calls', n %% 1000, timestamptz '2025-11-01' + n %% 2591999 * interval '1 second', md5(n::text),
    '{"path":"/v1/things/4711","region":"eu-west-1"}', 'http', now()
from generate_series(1, %(events)s) n;
insert into billing_usage_rollups (user_id, metric_type, hour, events, total, largest, last_value, last_at)
select user_id, metric_type, date_trunc('hour', created_at), count(*), sum(value), max(value), max(value), max(created_at)
from billing_usage group by 1, 2, 3;
insert into auth.users (id) select 'user' || n from generate_series(0, %(users)s) n;
"""


def fill(app: App, events: int) -> None:
    record.ensure_months_of(app, [datetime(2025, 11, 1, tzinfo=UTC)])
    with psycopg.connect(app.db.conninfo, options="-c search_path=billing,public -c timezone=UTC") as connection:
        for statement in FILL.split(";")[:-1]:
            connection.execute(statement.encode(), {"users": USERS, "events": events})
    with psycopg.connect(app.db.conninfo, autocommit=True) as connection:
        connection.execute("vacuum analyze billing.billing_usage, billing.billing_usage_keys")


def copy_out(app: App) -> float:
    """Seconds of the limit."""
    began = time.perf_counter()
    statement = "copy billing.billing_usage_2025_11 to stdout"
    with psycopg.connect(app.db.conninfo) as connection, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for _ in copy:
            pass
    return time.perf_counter() - began


def timed(work: Any) -> tuple[float, float, Any]:
    """Seconds, processor seconds of this process, result."""
    began, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - began, time.process_time() - cpu, result


def peak() -> float:
    """MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(app: App, events: int) -> list[tuple[str, str, str]]:
    fill(app, events)
    limit = copy_out(app)
    empty = peak()
    took, cpu, rows = timed(
        lambda: archive.archive_usage(app, ArchiveUsage(before="2025-12-01", to_s3=True, execute=True))
    )
    assert [(row.events, row.action) for row in rows] == [(events, "archived")], rows
    after = peak()
    day, _, one = timed(lambda: restore.restore(app, RestoreUsage(user="user7", date="2025-11-15", execute=True)))
    back, back_cpu, all = timed(lambda: restore.restore(app, RestoreUsage(month="2025-11", execute=True)))
    assert one.put_back + all.put_back == events, (one, all)
    rate = events / took
    return [
        (f"COPY TO of {events:,} events", f"{events / limit:,.0f} events/s", "the limit of this run"),
        ("archived, read back and dropped", f"{rate:,.0f} events/s", f"{rate * limit / events:.2f} x the limit"),
        ("processor time of that", f"{cpu / events * 1e6:.1f} us Python an event", ""),
        ("size in the archive", f"{rows[0].archived_bytes / events:.0f} B an event", f"{rows[0].size_bytes / events:.0f} B in PostgreSQL"),
        ("peak memory while archiving", f"{after:.0f} MB", f"{empty:.0f} MB before, most of it libraries"),
        ("a user's day found and restored", f"{day:.2f} s", ""),
        ("all of it restored", f"{events / back:,.0f} events/s", f"{back_cpu / events * 1e6:.1f} us Python an event"),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, moto() as store, temporary_server(Path(folder)) as conninfo:
        migrate(conninfo)
        store.client().create_bucket(Bucket="bench")
        environ = {"ARCHIVE_S3_BUCKET": "bench", "ARCHIVE_S3_ENDPOINT": store.url, **KEYS}
        with app_on(
            Path(folder) / "project", conninfo, lambda: datetime(2026, 2, 1, tzinfo=UTC) + timedelta(), **environ
        ) as app:
            report("Archive of raw usage", measure(app, given.events))


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
