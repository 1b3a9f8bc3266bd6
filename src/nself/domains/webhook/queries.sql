-- Statements of webhooks. Leases are measured by the database's own clock.

-- name: receive
-- One statement before the acknowledgement: each event once, and its object due. Rows are locked in one order, events by
-- their id, then objects by theirs, so that two receivers and a worker never wait for each other in a circle.
with given as (
    select *
    from unnest(
        %(event_ids)s::text[], %(types)s::text[], %(object_ids)s::text[], %(object_kinds)s::text[], %(livemodes)s::boolean[],
        %(api_versions)s::text[], %(created)s::timestamptz[], %(payloads)s::text[], %(statuses)s::text[], %(copies)s::integer[]
    ) as given (event_id, type, object_id, object_kind, livemode, api_version, created_at, payload, status, copies)
),
event as (
    insert into billing_webhook_events as stored (
        event_id, type, object_id, object_kind, livemode, api_version, event_created_at, payload, status, deliveries, received_at
    )
    select
        event_id, type, object_id, object_kind, livemode, nullif(api_version, ''), created_at, payload, status, copies, %(now)s
    from given
    on conflict (event_id) where status <> 'duplicate' do update
    set
        deliveries = stored.deliveries + excluded.deliveries,
        status = case
            when %(again)s::boolean and stored.status in ('processed', 'ignored', 'failed', 'failed_permanent')
                then excluded.status
            else stored.status
        end
    returning event_id, object_id, status, source, deliveries
),
kept as (
    -- One that was found in Stripe's list before is known, however late its first delivery comes.
    select event.*, event.source = 'delivery' and event.deliveries = given.copies as fresh
    from event join given using (event_id)
),
due as (
    insert into billing_webhook_objects as object (object_id, next_at)
    select distinct object_id, now() from kept where status = 'received' and (fresh or %(again)s::boolean)
    order by object_id
    on conflict (object_id) do update set next_at = least(coalesce(object.next_at, 'infinity'), excluded.next_at)
)
select event_id, status, fresh from kept;

-- name: refuse
insert into billing_webhook_refusals (code, reason, skew, event_id, times, refused_at)
select code, reason, skew, nullif(event_id, ''), times, refused_at
from unnest(
    %(codes)s::text[], %(reasons)s::text[], %(skews)s::integer[], %(event_ids)s::text[], %(times)s::bigint[],
    %(refused_at)s::timestamptz[]
) as given (code, reason, skew, event_id, times, refused_at);

-- name: forget_refusals
delete from billing_webhook_refusals
where id <= (select id from billing_webhook_refusals order by id desc offset %(kept)s limit 1);

-- name: claim_objects
-- The wake-up is used up: what comes meanwhile makes the object due anew, and a worker that dies leaves it due after its lease.
with due as (
    select object_id
    from billing_webhook_objects
    where
        next_at <= now() and (lease_until is null or lease_until < now() or %(free)s::boolean)
        and (%(only)s::text[] is null or object_id = any(%(only)s::text[]))
    order by next_at
    limit %(limit)s
    for update skip locked
)
update billing_webhook_objects object
set lease_until = now() + %(lease)s::interval, next_at = now() + %(lease)s::interval, fence = fence + 1
from due
where object.object_id = due.object_id
returning object.object_id, object.fence;

-- name: held_objects
select object_id, fence
from billing_webhook_objects
where
    next_at <= now() and lease_until >= now() and (%(only)s::text[] is null or object_id = any(%(only)s::text[]))
limit %(limit)s;

-- name: waiting
select id, event_id, type, object_kind, livemode, attempts
from billing_webhook_events
where object_id = %(object_id)s and status in ('received', 'failed')
order by id;

-- name: lock_object
-- Before release, so that an event that is arriving is either seen by the release or makes the object due again.
select fence from billing_webhook_objects where object_id = %(object_id)s for update;

-- name: finish_events
with locked as (
    select id from billing_webhook_events where id = any(%(ids)s::bigint[]) order by event_id for update
)
update billing_webhook_events event
set
    status = %(status)s, attempts = attempts + 1, processed_at = %(now)s, error = null, claimed_at = %(claimed_at)s,
    fetch_ms = %(fetch_ms)s, took_ms = %(took_ms)s
from locked
where event.id = locked.id;

-- name: fail_events
with locked as (
    select id from billing_webhook_events where id = any(%(ids)s::bigint[]) order by event_id for update
)
update billing_webhook_events event
set
    status = case when %(permanent)s::boolean then 'failed_permanent' else 'failed' end, attempts = attempts + 1,
    error = %(error)s, claimed_at = %(claimed_at)s, fetch_ms = %(fetch_ms)s, took_ms = %(took_ms)s
from locked
where event.id = locked.id;

-- name: release_object
update billing_webhook_objects object
set
    lease_until = null,
    next_at = case
        when exists (
            select from billing_webhook_events event
            where event.object_id = object.object_id and event.status in ('received', 'failed')
        ) then now() + %(wait)s::interval
    end
where object_id = %(object_id)s;

-- name: list_events
select
    id, event_id as event, type, object_id as object, status, deliveries, attempts, received_at, processed_at, error
from billing_webhook_events
where
    (%(status)s::text is null or status = %(status)s)
    and (%(object)s::text is null or object_id = %(object)s)
    and (%(type)s::text is null or type = %(type)s)
order by id desc
limit %(limit)s;

-- name: status
select
    count(*) filter (where status <> 'duplicate') as events,
    coalesce(sum(deliveries) filter (where status <> 'duplicate'), 0)::bigint as deliveries,
    count(*) filter (where status = 'processed') as processed,
    count(*) filter (where status = 'ignored') as ignored,
    count(*) filter (where status = 'received') as waiting,
    count(*) filter (where status in ('failed', 'failed_permanent')) as failed,
    count(*) filter (where status = 'parked') as parked,
    min(received_at) filter (where status in ('received', 'failed')) as oldest_waiting_at,
    max(received_at) as last_received_at,
    max(processed_at) as last_processed_at
from billing_webhook_events;
