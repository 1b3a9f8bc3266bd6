-- Statements of backups: of the database that is backed up, of the new one, and of the server that holds both.

-- name: snapshot
select pg_export_snapshot();

-- name: facts
select
    current_setting('server_version') as server, now() as made_at,
    coalesce((select max(version) from billing.schema_migrations), 0) as schema_version;

-- name: database
select current_database()::text;

-- name: tables
select space.nspname as schema, class.relname as name
from pg_class class
join pg_namespace space on space.oid = class.relnamespace
where
    class.relkind in ('r', 'p') and not class.relispartition
    and (space.nspname = 'billing' or (space.nspname = 'auth' and class.relname = 'users'))
order by 1, 2;

-- name: owned
-- Databases that restoring made and kept: `oldest` first.
select datname::text from pg_database where starts_with(datname, %(prefix)s::text) order by datname;

-- name: alone
select pg_try_advisory_lock(hashtext('nself db restore'), hashtext(%(database)s::text));

-- name: sessions
select pid, coalesce(application_name, '') as application from pg_stat_activity
where datname = %(database)s::text and pid <> pg_backend_pid() and backend_type = 'client backend';

-- name: ledger
-- The figures that a restored database must show as they were, in one look.
select
    (select coalesce(sum(total), 0)::text from billing_usage_rollups) as usage,
    (select count(*) from billing_invoices) as invoices,
    (select coalesce(sum(total_minor), 0)::bigint from billing_invoices) as invoiced_minor,
    (select count(*) from billing_intents where state = 'pending') as pending_intents;
