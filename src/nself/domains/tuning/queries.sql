-- Statements about PostgreSQL's own statistics and catalog: what is slow, which indexes there are, what vacuum did.

-- name: statistics_view
select to_regclass('public.pg_stat_statements') is not null;

-- name: make_statistics_view
-- The numbers are collected since the server loaded the library; this only makes them visible.
create extension if not exists pg_stat_statements schema public;

-- name: slow_statements
-- `share` is of all time that statements of this database took; what this file asks is left out of the list.
select query, calls, total_ms, mean_ms, max_ms, rows, share
from (
    select
        query, calls, total_exec_time as total_ms, mean_exec_time as mean_ms, max_exec_time as max_ms, rows,
        coalesce(100 * total_exec_time / nullif(sum(total_exec_time) over (), 0), 0) as share
    from public.pg_stat_statements
    where dbid = (select oid from pg_database where datname = current_database())
) statement
where max_ms >= %(min_ms)s::float8 and query is not null and query not like '%%/* tuning.%%'
order by total_ms desc
limit %(limit)s;

-- name: statistics_since
select stats_reset from public.pg_stat_statements_info;

-- name: forget_statements
select public.pg_stat_statements_reset(0, oid, 0) from pg_database where datname = current_database();

-- name: running
-- Also what does nothing with a transaction open: it holds locks and dead rows.
select
    pid, coalesce(application_name, '') as application, state,
    extract(epoch from clock_timestamp() - case when state = 'active' then query_start else xact_start end)::float8 as seconds,
    concat_ws(':', wait_event_type, wait_event) as waits_for, pg_blocking_pids(pid) as blocked_by, query
from pg_stat_activity
where
    datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid() and state <> 'idle'
    and (
        clock_timestamp() - case when state = 'active' then query_start else xact_start end >= %(longer)s::interval
        or cardinality(pg_blocking_pids(pid)) > 0
        or pid in (
            select unnest(pg_blocking_pids(waiting.pid)) from pg_stat_activity waiting
            where waiting.wait_event_type = 'Lock' and waiting.datname = current_database()
        )
    )
order by seconds desc nulls last;

-- name: reading
select set_config('transaction_read_only', 'on', true), set_config('plan_cache_mode', 'force_generic_plan', true);

-- name: as_reader
-- A superuser steps down to a role that may read every table and nothing else.
select case when rolsuper then set_config('role', 'pg_read_all_data', true) end from pg_roles where rolname = current_user;

-- name: parameters
select cardinality(parameter_types) from pg_prepared_statements where name = 'nself_explained';

-- name: forget_prepared
deallocate nself_explained;

-- name: tables
-- A partitioned table's numbers are the sums of its partitions'.
select
    root.oid, space.nspname as schema, root.relname as name, root.relkind = 'p' as partitioned,
    coalesce(sum(case when part.reltuples > 0 then part.reltuples else stat.n_live_tup end), 0)::bigint as rows,
    coalesce(sum(stat.n_dead_tup), 0)::bigint as dead_rows,
    coalesce(sum(stat.seq_scan), 0)::bigint as full_scans,
    coalesce(sum(stat.seq_tup_read), 0)::bigint as rows_read,
    coalesce(sum(stat.idx_scan), 0)::bigint as index_scans,
    coalesce(sum(pg_total_relation_size(part.oid)), 0)::bigint as bytes,
    coalesce(array_agg(part.relname::text) filter (where part.oid is not null), '{}') as parts
from pg_class root
join pg_namespace space on space.oid = root.relnamespace
left join lateral (
    select root.oid as relid where root.relkind = 'r'
    union all
    select tree.relid from pg_partition_tree(root.oid) tree where root.relkind = 'p' and tree.isleaf and tree.level > 0
) leaf on true
left join pg_class part on part.oid = leaf.relid
left join pg_stat_user_tables stat on stat.relid = part.oid
where
    root.relkind in ('r', 'p') and not root.relispartition
    and (space.nspname = 'billing' or (space.nspname = 'auth' and root.relname = 'users'))
    and (%(table)s::oid is null or root.oid = %(table)s::oid)
group by root.oid, space.nspname, root.relname, root.relkind
order by space.nspname, root.relname;

-- name: relation
-- What a name that an operator typed stands for, on the search path.
select class.oid, class.relkind::text as kind, class.relispartition as is_partition, space.nspname as schema, class.relname as name
from pg_class class join pg_namespace space on space.oid = class.relnamespace
where class.oid = to_regclass(%(name)s::text);

-- name: view_sources
select distinct source.relname::text
from pg_rewrite rule
join pg_depend dependency on dependency.classid = 'pg_rewrite'::regclass and dependency.objid = rule.oid
join pg_class source on source.oid = dependency.refobjid and source.oid <> rule.ev_class
where rule.ev_class = %(view)s::oid and dependency.refclassid = 'pg_class'::regclass
order by 1;

-- name: columns
select attname::text from pg_attribute where attrelid = %(table)s::oid and attnum > 0 and not attisdropped order by attnum;

-- name: indexes
-- `plain`: a b-tree over whole columns, ascending, of all rows, with nothing beside: what `db add-index` makes.
select
    index.oid, root.relname as table_name, index.relname as name, link.indisvalid as valid, link.indisunique as unique,
    (
        method.amname = 'btree' and link.indpred is null and link.indexprs is null and link.indnkeyatts = link.indnatts
        and not exists (select from unnest(string_to_array(link.indoption::text, ' ')) flag where flag <> '0')
    ) as plain,
    link.indpred is not null as partial,
    array(
        select coalesce(attribute.attname::text, '')
        from unnest(string_to_array(link.indkey::text, ' ')::smallint[]) with ordinality as key (number, place)
        left join pg_attribute attribute on attribute.attrelid = link.indrelid and attribute.attnum = key.number
        where key.place <= link.indnkeyatts
        order by key.place
    ) as columns,
    exists (select from pg_constraint where conindid = index.oid) as of_constraint,
    exists (select from pg_stat_progress_create_index progress where progress.index_relid = index.oid) as being_built,
    (
        select coalesce(sum(stat.idx_scan), 0)::bigint from pg_stat_user_indexes stat
        where stat.indexrelid in (select index.oid union select relid from pg_partition_tree(index.oid))
    ) as scans,
    (
        select coalesce(sum(pg_relation_size(piece)), 0)::bigint
        from (select index.oid as piece union select relid from pg_partition_tree(index.oid)) pieces
    ) as bytes,
    pg_get_indexdef(index.oid) as definition
from pg_index link
join pg_class index on index.oid = link.indexrelid
join pg_class root on root.oid = link.indrelid
join pg_am method on method.oid = index.relam
join pg_namespace space on space.oid = root.relnamespace
where
    case when %(table)s::oid is null
        then (space.nspname = 'billing' or (space.nspname = 'auth' and root.relname = 'users')) and not root.relispartition
        else root.oid = %(table)s::oid
    end
order by root.relname, index.relname;

-- name: foreign_keys
select
    owner.relname as table_name, link.conname as name, link.confrelid::regclass::text as target,
    array(
        select attribute.attname::text from unnest(link.conkey) with ordinality as key (number, place)
        join pg_attribute attribute on attribute.attrelid = link.conrelid and attribute.attnum = key.number
        order by key.place
    ) as columns
from pg_constraint link
join pg_class owner on owner.oid = link.conrelid
join pg_namespace space on space.oid = owner.relnamespace
where link.contype = 'f' and link.conparentid = 0 and space.nspname = 'billing'
order by 1, 2;

-- name: parts
-- The partitions of a table and of those the index, if any, that belongs to an index of the table.
select
    class.oid, space.nspname as schema, class.relname as name,
    (
        select tree.inhrelid from pg_inherits tree join pg_index link on link.indexrelid = tree.inhrelid
        where tree.inhparent = %(index)s::oid and link.indrelid = class.oid
    ) as attached,
    class.relkind = 'p' as partitioned
from pg_inherits part
join pg_class class on class.oid = part.inhrelid
join pg_namespace space on space.oid = class.relnamespace
where part.inhparent = %(table)s::oid
order by class.relname;

-- name: alone
-- One at a time changes the indexes of a table; who is killed lets go once the server has ended its statement.
select pg_try_advisory_lock(hashtext('nself db add-index'), %(table)s::oid::bigint::integer);

-- name: limit_waits
select
    set_config('lock_timeout', %(milliseconds)s::text, false), set_config('statement_timeout', '0', false),
    set_config('search_path', 'billing, public', false), set_config('client_min_messages', 'error', false);

-- name: holders
-- Who may keep a lock from being granted: those that hold one on the table or its partitions, and the oldest transactions.
select
    activity.pid, coalesce(activity.application_name, '') as application, coalesce(activity.state, '') as state,
    extract(epoch from clock_timestamp() - activity.xact_start)::float8 as seconds,
    concat_ws(':', wait_event_type, wait_event) as waits_for, array[]::integer[] as blocked_by, coalesce(activity.query, '') as query
from pg_stat_activity activity
where
    activity.pid <> pg_backend_pid() and activity.datname = current_database() and activity.xact_start is not null
order by
    exists (
        select from pg_locks lock
        where
            lock.pid = activity.pid and lock.granted and lock.locktype = 'relation'
            and lock.relation in (select %(table)s::oid union select inhrelid from pg_inherits where inhparent = %(table)s::oid)
    ) desc,
    activity.xact_start
limit 3;
