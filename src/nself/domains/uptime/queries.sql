-- Statements of uptime.

-- name: tell
-- By the process itself, or by who finds what it left; that it has ended is never taken back.
insert into billing_service_runs as known (run, service, place, pid, boot, started_at, last_seen_at, ended)
values (%(run)s, %(service)s, %(place)s, %(pid)s, %(boot)s, %(started_at)s, %(last_seen_at)s, %(ended)s)
on conflict (run) do update set
    started_at = excluded.started_at, last_seen_at = excluded.last_seen_at, ended = coalesce(excluded.ended, known.ended);

-- name: tell_interruption
insert into billing_service_interruptions (run, began_at, kind, ended_at, detail, buffered)
values (%(run)s, %(began_at)s, %(kind)s, %(ended_at)s, %(detail)s, %(buffered)s)
on conflict (run, began_at, kind) do update set
    ended_at = excluded.ended_at, detail = excluded.detail, buffered = excluded.buffered;

-- name: tell_refusal
-- The counts are those of the whole span: told again, they are the same or higher.
insert into billing_usage_refusals as known (origin, number, code, began_at, ended_at, requests, events)
values (%(origin)s, %(number)s, %(code)s, %(began_at)s, %(ended_at)s, %(requests)s, %(events)s)
on conflict (origin, number) do update set
    ended_at = greatest(known.ended_at, excluded.ended_at), requests = greatest(known.requests, excluded.requests),
    events = greatest(known.events, excluded.events);

-- name: server_started_at
select pg_postmaster_start_time();

-- name: previous
select * from billing_service_runs
where service = %(service)s and place = %(place)s and run <> %(run)s
order by last_seen_at desc
limit 1;

-- name: runs
-- Those that lived at some instant of the period, and the last one before it of each service.
select distinct run.*
from billing_service_runs run
where
    run.started_at < %(end)s
    and (
        run.last_seen_at >= %(start)s
        or run.last_seen_at = (select max(last_seen_at) from billing_service_runs other where other.service = run.service and other.last_seen_at < %(start)s)
    );

-- name: interruptions
select * from billing_service_interruptions where began_at < %(end)s and ended_at > %(start)s;

-- name: refusals
select code, began_at, ended_at, requests, events from billing_usage_refusals
where began_at <= %(end)s and ended_at >= %(start)s
order by began_at;

-- name: tell_memory
-- A minute has the least and the most of its beats, and the longest of what ended in it.
insert into billing_service_memory as known (run, at, low, high, doing, seconds)
values (%(run)s, %(at)s, %(low)s, %(high)s, %(doing)s, %(seconds)s)
on conflict (run, at) do update set
    low = least(known.low, excluded.low), high = greatest(known.high, excluded.high),
    doing = case when excluded.seconds > known.seconds then excluded.doing else known.doing end,
    seconds = greatest(known.seconds, excluded.seconds);

-- name: forget_memory
delete from billing_service_memory where at < %(before)s;

-- name: outgrown
-- How often services ended because they had more than a limit.
select service, count(*) as times, max(most) as most
from (
    select run.service, max(memory.high) as most
    from billing_service_runs run
    join billing_service_memory memory using (run)
    where run.ended = 'terminated' and run.last_seen_at >= %(since)s
    group by run.run, run.service
) ended
where most > %(limit)s
group by service
order by times desc, service;

-- name: memory
-- Of processes that live, in the order of time.
select run.run, run.service, run.pid, memory.at, memory.low, memory.high, memory.doing, memory.seconds
from billing_service_runs run
join billing_service_memory memory using (run)
where run.ended is null and run.last_seen_at >= %(alive)s
order by run.service, run.run, memory.at;
