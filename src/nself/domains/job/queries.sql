-- Statements of scheduled work.

-- name: ensure
-- One of each kind waits or runs; a shorter interval holds at once.
insert into billing_jobs (type, state, due_at)
select type, 'queued', %(now)s from unnest(%(types)s::text[]) as given (type)
on conflict (type) where state in ('queued', 'running') do nothing;

-- name: hasten
update billing_jobs job set due_at = given.latest
from unnest(%(types)s::text[], %(latest)s::timestamptz[]) as given (type, latest)
where job.type = given.type and job.state = 'queued' and job.due_at > given.latest;

-- name: claim
-- What is due, or was left by a worker whose lease ended.
update billing_jobs job set
    state = 'running', token = token + 1, attempts = attempts + 1, worker = %(worker)s, started_at = %(now)s, lease_until = %(lease)s
from (
    select id from billing_jobs
    where
        type = any(%(types)s::text[])
        and ((state = 'queued' and due_at <= %(now)s) or (state = 'running' and lease_until <= %(now)s))
    order by due_at, id
    limit 1
    for update skip locked
) due
where job.id = due.id
returning job.id, job.type, job.token, job.attempts;

-- name: beat
update billing_jobs set lease_until = %(lease)s where id = %(id)s and token = %(token)s and state = 'running';

-- name: finish
update billing_jobs
set state = %(state)s, finished_at = %(now)s, lease_until = null, result = %(result)s, last_error = %(error)s
where id = %(id)s and token = %(token)s and state = 'running';

-- name: queue
insert into billing_jobs (type, state, due_at) values (%(type)s, 'queued', %(due)s)
on conflict (type) where state in ('queued', 'running') do nothing;

-- name: due
update billing_jobs set due_at = %(at)s where type = %(type)s and state = 'queued';

-- name: forget
-- Of what is over the newest are kept.
delete from billing_jobs
where id in (
    select id from billing_jobs where type = %(type)s and state in ('succeeded', 'cleared') order by id desc offset %(kept)s
);

-- name: list
select
    id, type, case when state = 'running' and lease_until <= %(now)s then 'stuck' else state end as status, due_at, attempts,
    worker, started_at, lease_until, finished_at, result, last_error
from billing_jobs
where
    (%(type)s::text is null or type = %(type)s)
    and (%(status)s::text is null or %(status)s = case when state = 'running' and lease_until <= %(now)s then 'stuck' else state end)
order by state in ('queued', 'running') desc, coalesce(finished_at, due_at) desc, id
limit %(limit)s;

-- name: free_stuck
-- The higher token shuts the former worker out.
update billing_jobs set state = 'queued', due_at = %(now)s, token = token + 1, lease_until = null
where state = 'running' and lease_until <= %(now)s and (%(type)s::text is null or type = %(type)s);

-- name: clear_failed
update billing_jobs set state = 'cleared'
where state = 'failed' and (%(type)s::text is null or type = %(type)s)
returning type;

-- name: ask
-- Whoever asks for the same again gets what stands.
with added as (
    insert into billing_operations (use, input, given, actor, livemode, asked_at)
    values (%(use)s, %(input)s, %(given)s, %(actor)s, %(livemode)s, %(now)s)
    on conflict (use, given, livemode) where state in ('queued', 'running') do nothing
    returning id
)
select id from added
union all
select id from billing_operations
where use = %(use)s and given = %(given)s and livemode = %(livemode)s and state in ('queued', 'running')
limit 1;

-- name: take
-- The oldest; one that was left behind by a killed worker comes first, as nobody else does this job now.
update billing_operations set state = 'running', attempts = attempts + 1, started_at = coalesce(started_at, %(now)s)
where id = (
    select id from billing_operations where state in ('queued', 'running') and livemode = %(livemode)s order by id limit 1
)
returning id, use, input, given;

-- name: end
update billing_operations
set
    state = %(state)s, result = %(result)s, error = %(error)s,
    finished_at = case when %(state)s in ('done', 'failed') then %(now)s::timestamptz end
where id = %(id)s and state = 'running';

-- name: operations
select id, use as operation, given as asked, state, attempts, actor, asked_at, started_at, finished_at, result, error
from billing_operations
order by id desc
limit %(limit)s;
