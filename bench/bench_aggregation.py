"""Folding new usage into hourly rollups, by one worker and by several.

    bench_aggregation.py [--deltas N]

Limit: one plain `insert … select … group by` of the same deltas into an empty table like the rollups, on the same server
in the same run: no locks, no batches, nothing deleted, nothing to meet. After each run the rollups are compared with it.
"""

from __future__ import annotations

import argparse
import time

import psycopg
from common import project, report

from nself.app import App
from nself.config import find_project
from nself.domains.usage.service import aggregate
from nself.registry import Registry

USERS, METRICS, EVENTS_A_DELTA = 5000, 8, 10
COLUMNS = "user_id, metric_type, hour, events, total, largest, last_value, last_at"
GROUPED = """
    select user_id, metric_type, hour, sum(events)::bigint, sum(total), max(largest),
        (array_agg(last_value order by last_at desc, last_value desc))[1], max(last_at)
    from billing_usage_deltas group by user_id, metric_type, hour
"""
DIFFERENT = (
    f"select count(*) from (select {COLUMNS} from bench_rollups except select {COLUMNS} from billing_usage_rollups) a"  # noqa: S608
)


class Bench:
    def __init__(self, where: str, app: App, deltas: int) -> None:
        self.link = psycopg.connect(where, autocommit=True, options="-c search_path=billing,public")
        self.app, self.deltas = app, deltas

    def fill(self, events: int, hours: int) -> None:
        """Deltas as `events` events each leave them, evenly over all users and metrics of the last `hours`."""
        self.link.execute("truncate billing_usage_deltas, billing_usage_rollups")
        self.link.execute(
            """insert into billing_usage_deltas (user_id, metric_type, hour, events, total, largest, last_value, last_at)
            select 'user' || n %% %(users)s, 'metric_' || (n / %(users)s) %% %(metrics)s, at, %(events)s, n %% 1000, n %% 1000, n %% 1000, at + interval '1 second' * (n %% 3600)
            from (select n, timestamptz '2026-01-15Z' + interval '1 hour' * ((n * 7919::bigint) %% %(hours)s) as at from generate_series(1, %(deltas)s) n) made""",
            {"users": USERS, "metrics": METRICS, "events": events, "deltas": self.deltas, "hours": hours},
        )
        self.link.execute("vacuum analyze billing_usage_deltas")
        self.link.execute("checkpoint")

    def limit(self) -> float:
        """Seconds of the plain statement; its result stays in bench_rollups."""
        self.link.execute("drop table if exists bench_rollups")
        self.link.execute("create table bench_rollups (like billing_usage_rollups including all)")
        began = time.perf_counter()
        self.link.execute(f"insert into bench_rollups ({COLUMNS}) {GROUPED}".encode())
        return time.perf_counter() - began

    def fold(self, workers: int) -> float:
        began = time.perf_counter()
        done = aggregate.fold_all(self.app, workers)
        took = time.perf_counter() - began
        assert (done.deltas, done.pending) == (self.deltas, 0), done
        wrong = self.link.execute(DIFFERENT.encode()).fetchone()
        assert wrong == (0,), wrong
        return took

    def rows(self, what: str, events: int, hours: int, workers: tuple[int, ...]) -> list[tuple[str, str, str]]:
        found: list[tuple[str, str, str]] = []
        for count in workers:
            self.fill(events, hours)
            limit = self.limit()
            took = self.fold(count)
            rate = self.deltas * events / took
            plain = self.deltas * events / limit
            name = f"{what}, {count} worker{'s' if count > 1 else ''}"
            found.append(
                (
                    name,
                    f"{rate:,.0f} events/s",
                    f"{rate / plain:.2f} x the plain statement ({plain:,.0f}/s); goal 200,000",
                )
            )
        return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--deltas", type=int, default=300_000)
    given = parser.parse_args()
    with project("USAGE_AGGREGATION_INTERVAL=24h") as made:
        app = App(find_project(str(made.folder), {}, made.folder), Registry(), environ={})
        bench = Bench(app.db.conninfo, app, given.deltas)
        table = bench.rows(f"{given.deltas:,} deltas of one event each, one hour", 1, 1, (1, 2, 4))
        table += bench.rows("the same over a day", 1, 24, (1,))
        table += bench.rows(f"deltas of {EVENTS_A_DELTA} events, one hour", EVENTS_A_DELTA, 1, (1, 2))
        app.close()
    report("Aggregation into hourly rollups", table)


if __name__ == "__main__":
    main()
