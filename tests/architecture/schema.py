"""Describes a migrated database as text, from the catalog: the same on every PostgreSQL from 15 on.

`python tests/architecture/schema.py` writes src/nself/db/schema.sql anew.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import psycopg

SCHEMA = Path(__file__).parents[2] / "src/nself/db/schema.sql"
COLUMNS = """
select c.relname, c.relkind::text, string_agg(
    format('    %s %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
        case when a.attnotnull then ' not null' else '' end,
        case when a.attidentity <> '' then ' generated always as identity'
             when d.adbin is not null then ' default ' || pg_get_expr(d.adbin, d.adrelid) else '' end),
    e',\n' order by a.attnum)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where n.nspname = 'billing' and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> 'schema_migrations'
group by c.relname, c.relkind order by c.relname
"""
CONSTRAINTS = """
select conrelid::regclass::text, conname, pg_get_constraintdef(oid)
from pg_constraint
where connamespace = 'billing'::regnamespace and contype <> 'n' and conparentid = 0
  and conrelid::regclass::text <> 'schema_migrations'
order by 1, 2
"""
INDEXES = """
select tablename, indexdef from pg_indexes
where schemaname = 'billing' and indexname not in (select conname from pg_constraint) and tablename <> 'schema_migrations'
order by 1, 2
"""
VIEWS = """
select c.relname, pg_get_viewdef(c.oid)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'billing' and c.relkind = 'v' order by 1
"""


def describe(conninfo: str) -> str:
    """Tables with columns, then constraints, indexes and views, in order of their names."""
    parts = [
        "-- The sum of the migrations, for reading. Written by `python tests/architecture/schema.py`, checked by a test.\n"
    ]
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("set search_path = billing, public")
        for name, kind, columns in connection.execute(COLUMNS).fetchall():
            parts.append(f"create table {name} (\n{columns}\n){' -- partitioned' if kind == 'p' else ''};\n")
        for table, name, text in connection.execute(CONSTRAINTS).fetchall():
            parts.append(f"alter table {table} add constraint {name} {text};")
        parts.append("")
        parts.extend(f"{text};" for _, text in connection.execute(INDEXES).fetchall())
        parts.extend(f"\ncreate view {name} as\n{text}" for name, text in connection.execute(VIEWS).fetchall())
    return "\n".join(parts) + "\n"


def main() -> None:
    from nself.db.migrate import migrate
    from nself.db.server import temporary_server

    with tempfile.TemporaryDirectory() as folder, temporary_server(Path(folder)) as conninfo:
        migrate(conninfo)
        SCHEMA.write_text(describe(conninfo), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
