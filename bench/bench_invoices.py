"""Invoices created locally: what users owe for a month rated, planned, and recorded as intents for Stripe.

    bench_invoices.py [--users N] [--metrics N]

Target (issue 6): 100 invoices a second on two cores. Limit: the same rows (plans, lines, intents) inserted by one plain
statement a table, from copies of what was planned, on the same server in the same run: nothing read, rated or locked.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable

import psycopg
from common import project, report

from nself.app import App
from nself.config import find_project
from nself.core import period
from nself.core.period import Period
from nself.domains.invoice.service import generate
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.service.limits import set_quota
from nself.registry import Registry

MONTH, TABLES = "2026-01", ("billing_invoice_plans", "billing_invoice_plan_lines", "billing_intents")
METRICS = ("api_calls", "compute", "database", "functions")


def fill(link: psycopg.Connection[tuple[object, ...]], users: int, metrics: Iterable[str]) -> None:
    """Users with a customer at Stripe and usage above their quota in each metric."""
    link.execute(
        "insert into auth.users (id, email) select 'user' || n, 'u' || n || '@example.com' from generate_series(1, %s) n",
        [users],
    )
    link.execute(
        """insert into billing_customers (customer_id, user_id, livemode, snapshot, snapshot_number, created_at, synced_at)
        select 'cus_' || n, 'user' || n, false, jsonb_build_object('id', 'cus_' || n), n, now(), now() from generate_series(1, %s) n""",
        [users],
    )  # fmt: skip
    link.execute(
        """insert into billing_usage_rollups (user_id, metric_type, hour, events, total, largest, last_value, last_at)
        select 'user' || n, metric, timestamptz '2026-01-15Z', 10, 10000000 + n, 1000, 1000, timestamptz '2026-01-15Z'
        from generate_series(1, %s) n, unnest(%s::text[]) metric""",
        [users, list(metrics)],
    )
    link.execute("vacuum analyze")


def plan(app: App, span: Period) -> int:
    """Minor units planned, as `invoice generate` does it before the first call to Stripe."""
    known, users = app.db.transact(lambda tx: generate._begin(app, tx, None, span))
    total, size = 0, generate.CHUNK_USERS
    for at in range(0, len(users), size):
        made = app.db.transact(lambda tx, at=at: generate._plan_chunk(app, tx, users[at : at + size], span, known))
        total += sum(one.total_minor for one in made.plans)
    return total


def limit(link: psycopg.Connection[tuple[object, ...]]) -> float:
    """Seconds of inserting the same rows again."""
    for table in TABLES:
        link.execute(f"create table bench_{table} as select * from {table}".encode())  # noqa: S608
    link.execute("truncate billing_invoice_plans, billing_invoice_plan_lines, billing_intents")
    link.execute("checkpoint")
    began = time.perf_counter()
    for table in TABLES:
        link.execute(f"insert into {table} overriding system value select * from bench_{table}".encode())  # noqa: S608
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--metrics", type=int, default=3)
    given = parser.parse_args()
    metrics = METRICS[: given.metrics]
    with project("STRIPE_MOCK_ENABLED=true", "STRIPE_SECRET_KEY=sk_test_bench") as made:
        made.nself("stop", "billing")  # nobody performs what is planned
        app = App(find_project(str(made.folder), {}, made.folder), Registry())
        with psycopg.connect(app.db.conninfo, autocommit=True, options="-c search_path=billing,public") as link:
            for metric in metrics:
                set_quota(app, SetQuota(plan="free", metric=metric, limit=1000, mode="overage"))
            fill(link, given.users, metrics)
            began = time.perf_counter()
            total = plan(app, period.month(MONTH, app.timezone))
            took = time.perf_counter() - began
            found = link.execute(
                "select count(*), (select count(*) from billing_invoice_plan_lines), (select count(*) from billing_intents),"
                " sum(total_minor), (select sum(amount_minor) from billing_invoice_plan_lines) from billing_invoice_plans"
            ).fetchone()
            assert found == (given.users, given.users * given.metrics, given.users, total, total), found
            plain = given.users / limit(link)
        app.close()
    rate = given.users / took
    ratio = f"{rate / plain:.3f} x the same rows inserted plainly ({plain:,.0f}/s); target 100"
    report(
        "Invoices created locally",
        [(f"planned, {given.metrics} lines rated each, recorded as intents", f"{rate:,.0f} invoices/s", ratio)],
    )


if __name__ == "__main__":
    main()
