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
