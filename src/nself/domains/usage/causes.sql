-- Statements that show root causes: each looks at what is newest, so that it stays fast however much there is.

-- name: rejected_lately
-- Of the newest that were rejected, those of some reasons. `%(most)s` bounds what is read.
select code, event, message, source, rejected_at
from billing_usage_rejected
where
    id > (select coalesce(max(id), 0) - %(most)s from billing_usage_rejected)
    and rejected_at >= %(since)s and (%(codes)s::text[] is null or code = any(%(codes)s::text[]))
order by id desc;

-- name: fold_holders
-- Sessions that have kept a lock which folds need for so many seconds, without folding themselves: the users' locks (queries.sql,
-- lock_users) or one on a whole table. `waits`: how many sessions wait for it.
select
    session.pid, session.application_name as application, session.state,
    extract(epoch from clock_timestamp() - session.xact_start)::integer as seconds,
    string_agg(distinct coalesce(held.relation::regclass::text, 'locks of users'), ', ') as what,
    (select count(*) from pg_stat_activity other where session.pid = any(pg_blocking_pids(other.pid))) as waits
from pg_locks held
join pg_stat_activity session on session.pid = held.pid
where
    held.granted and session.xact_start < clock_timestamp() - make_interval(secs => %(seconds)s)
    and session.query not like '%%/* usage.fold */%%'
    and (
        (
            held.locktype = 'advisory' and held.objsubid = 2
            and held.classid = (hashtext('billing_usage_fold')::bigint & 4294967295)::oid
        )
        or (
            held.relation in ('billing_usage_deltas'::regclass, 'billing_usage_rollups'::regclass)
            and held.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
        )
    )
    and held.pid <> pg_backend_pid()
group by session.pid, session.application_name, session.state, session.xact_start
order by session.xact_start;

-- name: last_fold
select deltas, extract(epoch from duration)::float as seconds, folded_at from billing_usage_folds order by folded_at desc limit 1;

-- name: long_fold
-- Seconds for which the statement that folds has been at work, waiting for no lock; null where none is.
select max(extract(epoch from clock_timestamp() - query_start))::float
from pg_stat_activity
where state = 'active' and wait_event_type is distinct from 'Lock' and query like '%%/* usage.fold */%%' and pid <> pg_backend_pid();

-- name: note_terms
-- The first of a month stays.
insert into billing_usage_terms (month, zone, formulas, noted_at)
values (%(month)s, %(zone)s, %(formulas)s, %(now)s)
on conflict do nothing;

-- name: terms
select month, zone, formulas, noted_at from billing_usage_terms where month = %(month)s;
