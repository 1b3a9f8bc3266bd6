"""The schema can be distributed by user_id later (docs/decisions/0003): read from the catalog of plain PostgreSQL."""

from __future__ import annotations

import psycopg
import pytest

DISTRIBUTED = [
    "billing_usage_keys", "billing_usage", "billing_usage_deltas", "billing_usage_rollups", "billing_quotas",
    "billing_quota_counters", "billing_quota_reservations", "billing_quota_resets", "billing_quota_blocks", "billing_access",
    "billing_quota_overrides", "billing_quota_notices", "billing_usage_adjustments",
]  # fmt: skip
REFERENCE = ["billing_plan_quotas", "billing_usage_terms"]

CHECKS = {
    "has a user_id of type text that is never null": """
        select t from unnest(%(tables)s::regclass[]) t
        where not exists (select from pg_attribute where attrelid = t and attname = 'user_id' and attnotnull and atttypid = 'text'::regtype)
    """,
    "has user_id in every unique index": """
        select i.indexrelid::regclass from pg_index i
        join pg_attribute a on a.attrelid = i.indrelid and a.attname = 'user_id'
        where i.indrelid = any(%(tables)s::regclass[]) and i.indisunique and not a.attnum = any(string_to_array(i.indkey::text, ' ')::int2[])
    """,
    "has a primary key": """
        select t from unnest(%(tables)s::regclass[]) t where not exists (select from pg_index where indrelid = t and indisprimary)
    """,
    "has no trigger": "select tgname from pg_trigger where tgrelid = any(%(tables)s::regclass[]) and not tgisinternal",
    "has no foreign key in either direction": """
        select conname from pg_constraint
        where contype = 'f' and (conrelid = any(%(tables)s::regclass[]) or confrelid = any(%(tables)s::regclass[]))
    """,
    "has bigint identities only": """
        select attname from pg_attribute
        where attrelid = any(%(tables)s::regclass[]) and attidentity <> '' and atttypid <> 'bigint'::regtype
    """,
}


@pytest.mark.parametrize("rule", CHECKS)
def test_every_distributed_table(rule: str, database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("set search_path = billing, public")
        assert connection.execute(CHECKS[rule].encode(), {"tables": DISTRIBUTED}).fetchall() == []


def test_every_table_of_usage_and_quotas_has_its_place(database: str) -> None:
    names = (
        "intake", "rejected", "imports", "folds", "spools", "refusals", "reconstructions", "archives", "archive_log", "archive_owner", "recounts",
        "totals", "shares", "share_counts",
    )  # fmt: skip
    local = {f"billing_usage_{name}" for name in names}
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "select relname from pg_class where relnamespace = 'billing'::regnamespace and relkind in ('r', 'p') and not relispartition"
            " and relname ~ 'usage|quota|access'"
        ).fetchall()
    assert {row[0] for row in found} == {*DISTRIBUTED, *REFERENCE, *local}
