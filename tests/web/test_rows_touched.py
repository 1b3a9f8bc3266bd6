"""No statement behind a page reads all there is: rows that it touches are counted by the database, with thousands of each present."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest

from browsing import Browser
from nself.app import App
from nself.db.connect import Tx
from nself.domains.page_link import service as page_link
from nself.domains.page_link.inputs import CreatePageLink
from nself.domains.sync.service import look
from nself.domains.total import service as total
from nself.domains.usage.service import inspect
from nself.web.pages import PAGES

PRESENT, MOST = 6000, 1500
"""Rows of each table; those that a statement may touch: some hundreds are shown, each with what belongs to it."""
FILL = """
insert into auth.users (id, email) select 'user' || n, '' from generate_series(1, {n}) n;
insert into billing_customers (customer_id, user_id, livemode, snapshot, snapshot_number, created_at, synced_at)
select 'cus_' || n, 'user' || n, false, '{{}}', n, {at}, {at} from generate_series(1, {n}) n;
insert into billing_invoices (invoice_id, livemode, snapshot, snapshot_number, created_at, synced_at)
select
    'in_' || n, false, jsonb_build_object('id', 'in_' || n, 'customer', 'cus_' || n, 'status', case n % 500 when 0 then 'open' else 'paid' end),
    n, {at}, {at}
from generate_series(1, {n}) n;
insert into billing_objects (kind, object_id, livemode, snapshot, snapshot_number, source, digest, created_at, synced_at)
select
    kind, kind || n, false, jsonb_build_object('id', kind || n, 'customer', 'cus_' || n, 'status', status, 'items', jsonb_build_object('data', '[]'::jsonb)),
    n, 'test', '', {at}, {at}
from
    generate_series(1, {n}) n,
    (values ('subscription', 'active'), ('charge', 'succeeded'), ('payment_intent', 'succeeded'), ('payment_method', null)) given (kind, status);
insert into billing_webhook_events (
    event_id, type, object_id, object_kind, livemode, event_created_at, payload, status, received_at, claimed_at, processed_at, fetch_ms, took_ms
)
select 'evt_' || n, 'invoice.paid', 'in_' || n, 'invoice', false, {at}, '{{}}', 'processed', {at}, {at}, {at}, 1, 2 from generate_series(1, {n}) n;
insert into billing_webhook_objects (object_id) select 'in_' || n from generate_series(1, {n}) n;
insert into billing_object_changes (kind, object_id, livemode, what, source, snapshot_number, changes, changed_at)
select 'invoice', 'in_' || n, false, 'created', 'webhook evt_' || n, n, '[]', {at} from generate_series(1, {n}) n;
insert into billing_quotas (user_id, metric_type, limit_value, period, mode, updated_at)
select 'user' || n, 'api_calls', 1000, 'month', 'hard', {at} from generate_series(1, {n}) n;
select billing.ensure_usage_month('2026-01-01');
insert into billing_usage (user_id, metric_type, value, created_at, idempotency_key, source, recorded_at)
select 'user' || n, 'api_calls', 1, {at}, 'k', 'http', {at} from generate_series(1, {n}) n;
insert into billing_usage_rollups (user_id, metric_type, hour, events, total, largest, last_value, last_at)
select 'user' || n, 'api_calls', date_trunc('hour', {at}), 1, 1, 1, 1, {at} from generate_series(1, {n}) n;
insert into billing_usage_intake (source, received, duplicate, at) select 'http', 1, 0, {at} from generate_series(1, {n}) n;
insert into billing_usage_totals (metric_type, hour, shard, events, total, late)
select metric_type, hour, hashtext(user_id) & 15, count(*), sum(total), 0 from billing_usage_rollups group by 1, 2, 3;
insert into billing_usage_share_counts (period_start, metric_type, dimension, events, counted_at)
values ('2026-01-01Z', 'api_calls', '', {n}, '2026-01-10Z')
"""
AT = "timestamptz '2026-01-10Z' + n * interval '100 seconds'"
WRITES = re.compile(rb"\b(insert into|update|delete from|for share)\b|advisory", re.IGNORECASE)
Asked = tuple[bytes, Mapping[str, Any]]


@pytest.fixture
def mass(database: str, app: App) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True, options="-c search_path=billing,public -c timezone=UTC") as link:
        for statement in FILL.format(n=PRESENT, at=AT).split(";\n"):
            link.execute(statement.encode())
        link.execute("vacuum analyze")
        yield link


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Asked]:
    """The statements that pages ask from here on; what is counted up to a number is counted to a small one."""
    monkeypatch.setattr(look, "EXACT", 100)
    monkeypatch.setattr(inspect, "EXACT", 100)
    monkeypatch.setattr(total, "EXACT", 100)
    found = list[Asked]()
    for name in ("all", "each", "maybe", "value", "values"):
        monkeypatch.setattr(Tx, name, _noting(getattr(Tx, name), found))
    return found


def _noting(work: Any, found: list[Asked]) -> Any:
    def noted(tx: Tx, query: bytes, *given: Any, **params: Any) -> Any:
        found.append((query, params))
        return work(tx, query, *given, **params)

    return noted


def touched(link: psycopg.Connection, query: bytes, params: Mapping[str, Any]) -> int:
    """Rows that all scans of a statement read, those too that they pass over."""
    row = link.execute(b"explain (analyze, timing off, format json) " + query, params).fetchone()
    assert row
    return sum(_scanned(row[0][0]["Plan"]))


def _scanned(node: Mapping[str, Any]) -> Iterator[float]:
    if "Relation Name" in node:
        yield (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    for part in node.get("Plans", ()):
        yield from _scanned(part)


def greedy(link: psycopg.Connection, asked: list[Asked]) -> dict[str, int]:
    """Statements that touch more than MOST, by their beginning."""
    counts = {query[:60].decode(): touched(link, query, params) for query, params in asked if not WRITES.search(query)}
    return {name: count for name, count in counts.items() if count > MOST}


OF = {
    "/customers": "cus_7",
    "/users": "user7",
    "/subscriptions": "subscription7",
    "/invoices": "in_7",
    "/incidents": "inc_1",
    "/webhooks": "evt_7",
}
PATHS = [page.path.format(id=OF.get(page.path.removesuffix("/{id}"))) for page in PAGES]
FILTERED = [
    "/invoices?status=past_due",
    "/invoices?status=open",
    "/subscriptions?status=active",
    "/webhooks?status=failed",
]


def test_a_page_touches_few_rows(app: App, owner: Browser, mass: psycopg.Connection, asked: list[Asked]) -> None:
    own = page_link.create(app, CreatePageLink(user="user7")).url
    found = dict[str, dict[str, int]]()
    for path in [*PATHS, *FILTERED, own[own.index("/me/") :]]:
        asked.clear()
        page = owner.get(path)
        assert page.status_code == 200 and asked, path
        if too_many := greedy(mass, asked):
            found[path] = too_many
    assert "in_7" in page.text and found == {}
