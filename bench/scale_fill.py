"""Rows of a busy year, made by statements over sets: each mirrored one is a copy of what the guide's fixtures brought in.

Events come in groups of GROUP in an hour, so what a rollup says of its group is known beforehand.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import psycopg

GROUP, MONTHS, INVOICES = 10, 3, 6
"""Events of a rollup; partitions; invoices of a customer, one a month."""


class Sizes(NamedTuple):
    users: int
    events: int

    @property
    def groups(self) -> int:
        """Of a user."""
        return max(MONTHS, self.events // self.users // GROUP)


SAMPLES = """
create temporary table samples as
select
    kind, object_id, api_version, failed, regexp_replace(
        regexp_replace((snapshot || '{{"created": "~T"}}' || made)::text, '"((?:cus|sub|si|pm)_\\w+)"', '"\\1~C"', 'g'),
        '"((?:in|il|pi|ch|inpay|txn)_\\w+)"', '"\\1~I"', 'g'
    ) as text
from billing_mirror
join (
    values
    ('cus_123', false, '{{"name": "Customer ~N", "email": "user~N@example.com", "metadata": {{"nself_user": "user~U"}}}}'::jsonb),
    ('sub_123', false, '{{}}'), ('pm_123', false, '{{}}'), ('pi_123', false, '{{}}'), ('ch_123', false, '{{}}'),
    ('in_122', false, '{{"number": "B~I"}}'),
    ('pi_123', true, '{{"status": "requires_payment_method", "last_payment_error": {{"code": "card_declined"}}}}'),
    ('ch_123', true, '{{"status": "failed", "paid": false, "captured": false, "amount_captured": 0, "failure_code": "card_declined"}}'),
    ('in_122', true, '{{"number": "B~I", "status": "open", "amount_paid": 0, "amount_remaining": 2900}}')
) given (object_id, failed, made) using (object_id)
"""

COPY = """
select
    object_id || mark as id, kind, n, false as livemode, copy as snapshot, nextval('billing.snapshot_numbers') as snapshot_number,
    'webhook evt_' || object_id || mark as source, api_version, md5(copy::text) as digest, at as created_at, at as synced_at
from generate_series(1, {users}) n
cross join lateral (select {at} as at, 'N' || n || {mark} as mark, {failed} as fails) made
join samples on object_id in ({ids}) and failed = fails
cross join lateral (
    select replace(replace(replace(replace(replace(
        text, '"~T"', extract(epoch from at)::bigint::text), '~C', 'N' || n), '~N', n::text), '~U', lpad(n::text, 7, '0')), '~I', mark
    )::jsonb as copy
) copied
"""
COLUMNS = "livemode, snapshot, snapshot_number, source, api_version, digest, created_at, synced_at"

PEOPLE = """
insert into auth.users (id, email)
select 'user' || lpad(n::text, 7, '0'), 'user' || n || '@example.com' from generate_series(1, {users}) n;

insert into billing_customers (customer_id, user_id, {columns})
select id, 'user' || lpad(n::text, 7, '0'), {columns} from ({customers}) made;

insert into billing_objects (kind, object_id, {columns}) select kind, id, {columns} from ({objects}) made;

insert into billing_quotas (user_id, metric_type, limit_value, period, mode, updated_at)
select 'user' || lpad(n::text, 7, '0'), metric, 1000000000, 'month', 'overage', now() - interval '100 days'
from generate_series(1, {users}) n, unnest(array['api_calls', 'bandwidth']) metric;

insert into billing_plan_quotas (plan, metric_type, limit_value, period, mode, updated_at)
values ('pro', 'api_calls', 1000000000, 'month', 'overage', now());
"""

INVOICE = """
insert into billing_invoices (invoice_id, {columns}) select id, {columns} from ({invoices}) made;

insert into billing_objects (kind, object_id, {columns}) select kind, id, {columns} from ({payments}) made;
"""

TRACES = """
insert into billing_object_changes (kind, object_id, livemode, what, source, snapshot_number, changes, changed_at)
select kind, object_id, false, 'created', source, snapshot_number, '[]', synced_at
from billing_mirror where source like 'webhook evt_%' order by synced_at;

insert into billing_webhook_events (
    event_id, type, object_id, object_kind, livemode, api_version, event_created_at, payload, status, attempts, received_at, claimed_at,
    processed_at, fetch_ms, took_ms
)
select
    'evt_' || object_id, case kind when 'invoice' then 'invoice.paid' when 'charge' then 'charge.succeeded' else kind || '.succeeded' end,
    object_id, kind, false, api_version, created_at,
    jsonb_build_object('id', 'evt_' || object_id, 'object', 'event', 'data', jsonb_build_object('object', snapshot))::text,
    'processed', 1, created_at + interval '1 second', created_at + interval '1.01 seconds', created_at + interval '1.05 seconds', 12, 40
from billing_mirror
where kind in ('invoice', 'charge', 'payment_intent') and created_at > now() - interval '30 days' and source like 'webhook evt_%'
order by created_at;

insert into billing_webhook_objects (object_id, fence)
select distinct object_id, 1 from billing_webhook_events where event_id like 'evt_%M0' on conflict do nothing;
"""

EVENTS = """
insert into billing_usage (user_id, metric_type, value, created_at, idempotency_key, properties, source, recorded_at)
select
    'user' || lpad(n::text, 7, '0'), '{metric}', 1 + j, timestamptz '{hour}' + j * interval '5 minutes',
    'g' || lpad('{group}', 6, '0') || j, '{{"path":"/v1/things"}}', 'http', timestamptz '{hour}' + j * interval '5 minutes 1 second'
from generate_series(0, {last}) j cross join lateral (select n from generate_series(1, {users}) n where j >= 0) people;

insert into billing_usage_intake (source, received, duplicate, at)
select 'http', {last} + 1, 0, timestamptz '{hour}' + interval '55 minutes' from generate_series(1, {users}) n;

insert into billing_usage_rollups (user_id, metric_type, hour, events, total, largest, last_value, last_at)
select
    'user' || lpad(n::text, 7, '0'), '{metric}', timestamptz '{hour}', {last} + 1, ({last} + 1) * ({last} + 2) / 2, {last} + 1,
    {last} + 1, timestamptz '{hour}' + {last} * interval '5 minutes'
from generate_series(1, {users}) n;
"""

KEYS = """
insert into billing_usage_keys (user_id, idempotency_key, digest)
select
    'user' || lpad(n::text, 7, '0'), 'g' || lpad(k::text, 6, '0') || j, decode(md5(n::text || k), 'hex')
from generate_series({first}, {end}) n, generate_series(0, {groups} - 1) k, generate_series(0, {last}) j
order by 1, 2;
"""

TOTALS = """
insert into billing_usage_totals (metric_type, hour, shard, events, total, late)
select metric_type, hour, hashtext(user_id) & 15 as shard, sum(events), sum(total), 0
from billing_usage_rollups group by metric_type, hour, shard
on conflict (metric_type, hour, shard) do update set events = excluded.events, total = excluded.total;
"""

CONSTRAINED = (
    ("billing_usage", "primary key (user_id, created_at, idempotency_key)"),
    ("billing_usage_rollups", "primary key (user_id, metric_type, hour)"),
)


def _copies(users: int, at: str, *ids: str, mark: str = "''", failed: str = "false") -> str:
    listed = ", ".join(f"'{one}'" for one in ids)
    return COPY.format(users=users, at=at, ids=listed, mark=mark, failed=failed)


def fill(conninfo: str, sizes: Sizes) -> None:
    """Everything; what is there grows no more afterwards."""
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda work: work(conninfo, sizes), (_objects, _usage)))
    with _connected(conninfo) as connection:
        _script(connection, "totals", TOTALS)
        _script(connection, "traces", TRACES.replace("{", "{{").replace("}", "}}"))
        _script(connection, "vacuum", "vacuum (analyze);\ncheckpoint;")


def _connected(conninfo: str) -> psycopg.Connection[Any]:
    options = "-c search_path=billing,public -c timezone=UTC -c synchronous_commit=off -c maintenance_work_mem=1GB"
    return psycopg.connect(conninfo, autocommit=True, options=options)


def _objects(conninfo: str, sizes: Sizes) -> None:
    users = sizes.users
    with _connected(conninfo) as connection:
        _script(connection, "samples", SAMPLES)
        customers = _copies(users, f"now() - interval '700 days' + n * interval '500 days' / {users}", "cus_123")
        objects = _copies(users, f"now() - interval '199 days' + n * interval '15 days' / {users}", "sub_123", "pm_123")
        _script(connection, "people", PEOPLE, users=users, columns=COLUMNS, customers=customers, objects=objects)
        for month in range(INVOICES):
            at = f"now() - interval '{month} months' - n * interval '28 days' / {users}"
            made = partial(_copies, users, at, mark=f"'M{month}'", failed=f"(n % 500 = 0 and {month} = 0)")
            invoices, payments = made("in_122"), made("pi_123", "ch_123")
            _script(connection, f"invoices {month}", INVOICE, columns=COLUMNS, invoices=invoices, payments=payments)


def _usage(conninfo: str, sizes: Sizes) -> None:
    with _connected(conninfo) as connection:
        _metered(connection, sizes)


def _metered(connection: psycopg.Connection[Any], sizes: Sizes) -> None:
    now = datetime.now(UTC)
    months = [_month(now, back) for back in reversed(range(MONTHS))]
    for month in months:
        connection.execute("select billing.ensure_usage_month(%s)", [month.date()])
    hours = int((now - months[0]).total_seconds() // 3600) - 2
    for table, _ in CONSTRAINED:
        connection.execute(f"alter table {table} drop constraint {table}_pkey".encode())
    for group in range(sizes.groups):
        hour = datetime.fromtimestamp(months[0].timestamp() + group * hours // sizes.groups * 3600, UTC)
        metric = ("api_calls", "bandwidth")[group % 2]
        _script(
            connection, f"events {group + 1} of {sizes.groups}", EVENTS, users=sizes.users, group=group, last=GROUP - 1, hour=hour,
            metric=metric,
        )  # fmt: skip
    for table, constraint in CONSTRAINED:
        _script(connection, f"{table}: {constraint}", f"alter table {table} add {constraint};")
    step = max(1, 1_000_000 // (sizes.groups * GROUP))
    for first in range(1, sizes.users + 1, step):
        end = min(first + step - 1, sizes.users)
        _script(connection, f"keys of {end}", KEYS, first=first, end=end, groups=sizes.groups, last=GROUP - 1)


def _month(now: datetime, back: int) -> datetime:
    year, month = divmod(now.year * 12 + now.month - 1 - back, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC)


def _script(connection: psycopg.Connection[Any], what: str, script: str, **values: object) -> None:
    began = time.perf_counter()
    for statement in script.format(**values).split(";\n"):
        if statement.strip():
            connection.execute(statement.encode())
    print(f"{time.perf_counter() - began:8.1f} s  {what}", flush=True)
