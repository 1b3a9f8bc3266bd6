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
        event_id, type, object_id, object_kind, livemode, api_version, event_created_at, payload, status, deliveries, received_at,
        error
    )
    select
        event_id, type, object_id, object_kind, livemode, nullif(api_version, ''), created_at, payload, status, copies, %(now)s,
        case when status = 'parked' then %(parked)s::text end
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

-- name: poll
select began_at, seen_at, page_after, page_newest, polled_at, missed, missed_at
from billing_webhook_polls
where livemode = %(live)s;

-- name: begin_polls
insert into billing_webhook_polls (livemode, began_at, seen_at) values (%(live)s, %(at)s, %(at)s) on conflict do nothing;

-- name: recover
-- As `receive`, of what Stripe's list says: those that are known are not touched.
with given as (
    select *
    from unnest(
        %(event_ids)s::text[], %(types)s::text[], %(object_ids)s::text[], %(object_kinds)s::text[], %(livemodes)s::boolean[],
        %(api_versions)s::text[], %(created)s::timestamptz[], %(payloads)s::text[], %(statuses)s::text[]
    ) as given (event_id, type, object_id, object_kind, livemode, api_version, created_at, payload, status)
    where
        not exists (
            select from billing_webhook_events known where known.event_id = given.event_id and known.status <> 'duplicate'
        )
        and not exists (
            select from billing_webhook_events known where known.event_id = given.event_id and known.status = 'duplicate'
        )
),
event as (
    insert into billing_webhook_events (
        event_id, type, object_id, object_kind, livemode, api_version, event_created_at, payload, status, deliveries, received_at,
        source, error
    )
    select
        event_id, type, object_id, object_kind, livemode, nullif(api_version, ''), created_at, payload, status, 0, %(now)s, 'poll',
        case when status = 'parked' then %(parked)s::text end
    from given
    on conflict (event_id) where status <> 'duplicate' do nothing
    returning event_id, object_id, status
),
due as (
    insert into billing_webhook_objects as object (object_id, next_at)
    select distinct object_id, now() from event where status = 'received'
    order by object_id
    on conflict (object_id) do update set next_at = least(coalesce(object.next_at, 'infinity'), excluded.next_at)
)
select event_id from event;

-- name: note_page
update billing_webhook_polls
set
    page_after = %(after)s, page_newest = %(newest)s, polled_at = %(now)s, missed = missed + %(missed)s,
    missed_at = case when %(missed)s > 0 then %(now)s else missed_at end
where livemode = %(live)s;

-- name: end_window
update billing_webhook_polls
set
    seen_at = coalesce(%(newest)s, seen_at), page_after = null, page_newest = null, polled_at = %(now)s,
    missed = missed + %(missed)s, missed_at = case when %(missed)s > 0 then %(now)s else missed_at end
where livemode = %(live)s;

-- name: wake
-- Objects with events to be processed that nobody would look at again; there are none unless somebody wrote by hand.
insert into billing_webhook_objects as object (object_id, next_at)
select distinct object_id, now() from billing_webhook_events where status in ('received', 'failed')
order by object_id
on conflict (object_id) do update set next_at = now() where object.next_at is null and object.lease_until is null;

-- name: unpark
-- Events that came while we worked in the other mode, or that this mode left behind.
with ours as (
    select id, object_id from billing_webhook_events
    where status = 'parked' and livemode = %(live)s
    order by event_id
    limit %(limit)s
    for update
),
event as (
    update billing_webhook_events event set status = 'received', error = null
    from ours
    where event.id = ours.id
    returning event.id
),
due as (
    insert into billing_webhook_objects as object (object_id, next_at)
    select distinct object_id, now() from ours
    order by object_id
    on conflict (object_id) do update set next_at = now()
)
select id from event;

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
select id, event_id, object_id, type, object_kind, livemode, attempts
from billing_webhook_events
where object_id = any(%(object_ids)s::text[]) and status in ('received', 'failed')
order by object_id, id;

-- name: lock_objects
-- Before release, so that an event that is arriving is either seen by the release or makes the object due again.
select object_id, fence
from billing_webhook_objects
where object_id = any(%(object_ids)s::text[])
order by object_id
for update;

-- name: finish_events
with locked as (
    select id from billing_webhook_events where id = any(%(ids)s::bigint[]) order by event_id for update
)
update billing_webhook_events event
set
    status = done.status, attempts = attempts + 1, processed_at = %(now)s, claimed_at = done.claimed_at,
    error = case when done.status = 'parked' then %(parked)s::text end, fetch_ms = done.fetch_ms, took_ms = done.took_ms
from
    locked,
    unnest(
        %(ids)s::bigint[], %(statuses)s::text[], %(claimed_at)s::timestamptz[], %(fetch_ms)s::integer[], %(took_ms)s::integer[]
    ) as done (id, status, claimed_at, fetch_ms, took_ms)
where event.id = locked.id and done.id = locked.id;

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

-- name: release_objects
update billing_webhook_objects object
set
    lease_until = null,
    next_at = case
        when exists (
            select from billing_webhook_events event
            where event.object_id = object.object_id and event.status in ('received', 'failed')
        ) then now() + %(wait)s::interval
    end
where object_id = any(%(object_ids)s::text[]);

-- name: replay
-- The oldest of them, to be processed as if they had just come; a retry that is due later is due now.
with wanted as (
    select id
    from billing_webhook_events
    where
        case
            when %(event)s::text is not null then event_id = %(event)s and status <> 'duplicate'
            else status = any(%(statuses)s::text[]) and received_at >= %(since)s
        end
        and livemode = %(live)s
    order by id
    limit %(limit)s
),
chosen as (
    select id, object_id from billing_webhook_events where id in (select id from wanted) order by event_id for update
),
event as (
    update billing_webhook_events event
    set status = 'received', attempts = 0, error = null
    from chosen
    where event.id = chosen.id
    returning event.id
),
due as (
    insert into billing_webhook_objects as object (object_id, next_at)
    select distinct object_id, now() from chosen
    order by object_id
    on conflict (object_id) do update set next_at = now()
)
select id from event;

-- name: mark_duplicates
with locked as (
    select id from billing_webhook_events where id = any(%(ids)s::bigint[]) and status <> 'duplicate' order by event_id for update
)
update billing_webhook_events event
set status = 'duplicate', error = 'twin of ' || given.twin_of
from locked, unnest(%(ids)s::bigint[], %(originals)s::text[]) as given (id, twin_of)
where event.id = locked.id and given.id = locked.id;
