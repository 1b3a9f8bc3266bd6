-- What shows root causes of a slow database.

-- name: neglected
-- Large tables with changes that the planner does not know of, or with dead rows, and whether anybody but us will look after them.
select
    class.relname as table, coalesce(root.relname, class.relname) as root, stat.n_live_tup as rows, stat.n_dead_tup as dead,
    stat.n_mod_since_analyze as changes,
    coalesce(class.reloptions @> array['autovacuum_enabled=false'], false) as left_alone,
    greatest(stat.last_analyze, stat.last_autoanalyze) as analyzed_at,
    greatest(stat.last_vacuum, stat.last_autovacuum) as vacuumed_at
from pg_stat_user_tables stat
join pg_class class on class.oid = stat.relid
left join pg_inherits tree on tree.inhrelid = class.oid
left join pg_class root on root.oid = tree.inhparent
where
    stat.schemaname = 'billing'
    and (stat.n_mod_since_analyze >= greatest(%(least)s, stat.n_live_tup / 2) or stat.n_dead_tup >= greatest(%(least)s, stat.n_live_tup / 2))
order by stat.n_live_tup + stat.n_dead_tup desc;

-- name: slow_always
-- Statements of the product of which each call was slow: one that waited once for a lock is not among them.
select query, calls, total_exec_time as total_ms, mean_exec_time as mean_ms, max_exec_time as max_ms, rows, 0::float8 as share
from public.pg_stat_statements
where
    dbid = (select oid from pg_database where datname = current_database())
    and calls >= %(calls)s and min_exec_time >= %(milliseconds)s::float8 and query like '%%/* %%'
order by total_exec_time desc
limit 100;
