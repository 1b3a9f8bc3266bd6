-- Statements of `nself db`. What the operator types runs beside them, each statement by itself.

-- name: place
select
    current_setting('server_version') as version,
    current_database()::text as database,
    pg_database_size(current_database()) as size_bytes,
    pg_size_pretty(pg_database_size(current_database())) as size,
    (select count(*) from pg_stat_activity where backend_type = 'client backend') as connections,
    current_setting('max_connections')::integer as max_connections,
    pg_postmaster_start_time() as started_at,
    extract(epoch from clock_timestamp() - pg_postmaster_start_time())::bigint as uptime_seconds;

-- name: strain
-- What wears a server out: connections, transactions that never end, ids that run out, rows that nobody removes.
select
    coalesce((
        select max(extract(epoch from clock_timestamp() - xact_start)) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
    ), 0)::float8 as longest_transaction_seconds,
    (
        select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'
    ) as blocked_statements,
    (select age(datfrozenxid) from pg_database where datname = current_database())::bigint as transactions_used,
    coalesce((
        select max(greatest(age(backend_xmin), age(backend_xid))) from pg_stat_activity where pid <> pg_backend_pid()
    ), 0)::bigint as oldest_xmin_age,
    (select coalesce(sum(n_dead_tup), 0)::bigint from pg_stat_user_tables) as dead_rows,
    (select coalesce(sum(n_live_tup), 0)::bigint from pg_stat_user_tables) as live_rows;

-- name: has_migrations
select to_regclass('billing.schema_migrations') is not null;

-- name: migrations
select version, name, checksum from billing.schema_migrations order by version;

-- name: ping
select 1;

-- name: read_only
-- As a statement that takes a snapshot: from here on the server refuses to make the transaction writable again.
-- A superuser steps down to a role that may read every table and nothing else: no files, no programs.
select
    set_config('transaction_read_only', 'on', true),
    case when rolsuper then set_config('role', 'pg_read_all_data', true) end
from pg_roles
where rolname = current_user;

-- name: same_index
-- A whole valid b-tree of this name over just these columns of this table.
select exists (
    select from pg_index link
    join pg_class index on index.oid = link.indexrelid
    join pg_am method on method.oid = index.relam and method.amname = 'btree'
    where
        index.relname = %(name)s::text and link.indrelid = to_regclass(%(table)s::text)
        and link.indisvalid and link.indpred is null and link.indexprs is null and link.indnkeyatts = link.indnatts
        and %(columns)s::text[] = array(
            select attribute.attname::text
            from unnest(string_to_array(link.indkey::text, ' ')::smallint[]) with ordinality as key (number, place)
            join pg_attribute attribute on attribute.attrelid = link.indrelid and attribute.attnum = key.number
            order by key.place
        )
);

-- name: tables
-- What the product stores, partitions with their parent; the migrations' own book is not data, and who did what is not forgotten.
select
    space.nspname as schema, class.relname as name,
    exists (
        select from pg_attribute column_ where column_.attrelid = class.oid and column_.attname = 'livemode' and not column_.attisdropped
    ) as has_mode
from pg_class class
join pg_namespace space on space.oid = class.relnamespace
where
    class.relkind in ('r', 'p') and not class.relispartition
    and class.relname not in ('schema_migrations', 'billing_audit', 'billing_audit_head')
    and (space.nspname = 'billing' or (space.nspname = 'auth' and class.relname = 'users'))
order by schema, name;
