-- Statements that show webhooks.

-- name: list_events
select
    id, event_id as event, type, object_id as object, status, source, deliveries, attempts, received_at, processed_at, error
from billing_webhook_events
where
    (%(status)s::text is null or status = %(status)s)
    and (%(object)s::text is null or object_id = %(object)s)
    and (%(type)s::text is null or type = %(type)s)
order by id desc
limit %(limit)s;

-- name: events_by_id
select
    id, event_id as event, type, object_id as object, status, source, deliveries, attempts, received_at, processed_at, error
from billing_webhook_events
where id = any(%(ids)s::bigint[])
order by id;

-- name: event
select
    id, event_id as event, type, object_id as object, status, source, deliveries, attempts, received_at, processed_at, error
from billing_webhook_events
where event_id = %(event)s and status <> 'duplicate';

-- name: shown
select
    event_id as event, type, object_id as object, status, source, livemode, api_version, deliveries, attempts, event_created_at as made_at,
    received_at, claimed_at as tried_at, processed_at, fetch_ms, took_ms, error, payload
from billing_webhook_events
where event_id = %(event)s and status <> 'duplicate';

-- name: status
select
    count(*) filter (where status <> 'duplicate') as events,
    coalesce(sum(deliveries) filter (where status <> 'duplicate'), 0)::bigint as deliveries,
    count(*) filter (where status = 'processed') as processed,
    count(*) filter (where status = 'ignored') as ignored,
    count(*) filter (where status = 'received') as waiting,
    count(*) filter (where status in ('failed', 'failed_permanent')) as failed,
    count(*) filter (where status = 'parked') as parked,
    count(*) filter (where received_at > %(now)s::timestamptz - interval '1 hour') as received_1h,
    min(received_at) filter (where status in ('received', 'failed')) as oldest_waiting_at,
    max(received_at) as last_received_at,
    max(received_at) filter (where deliveries > 0 and type <> 'nself.test') as last_delivered_at,
    max(processed_at) as last_processed_at
from billing_webhook_events;

-- name: refusals
select code, reason, (array_agg(skew order by id desc))[1] as skew, null as event_id, sum(times)::bigint as times, max(refused_at) as refused_at
from billing_webhook_refusals
where refused_at >= %(since)s
group by code, reason
order by max(refused_at) desc;

-- name: failures
select at, what, event, type, object, times, next_at, reason, skew, cause
from (
    (
        select
            refused_at as at, 'refused' as what, event_id as event, null as type, null as object, times, null::timestamptz as next_at,
            reason, skew, '' as cause
        from billing_webhook_refusals
        order by id desc
        limit %(last)s
    )
    union all
    (
        select
            coalesce(event.claimed_at, event.received_at), event.status, event.event_id, event.type, event.object_id, event.attempts,
            case when event.status = 'failed' then object.next_at end, 'processing', null, coalesce(event.error, '')
        from billing_webhook_events event left join billing_webhook_objects object using (object_id)
        where event.status in ('failed', 'failed_permanent', 'parked')
        order by event.id desc
        limit %(last)s
    )
) failed
order by at desc
limit %(last)s;

-- name: arrivals
-- In the order in which they arrived; the newest ones where there are more than the limit.
select *
from (
    select
        id, event_id as event, type, object_id as object, status, source, deliveries, attempts, event_created_at as created_at,
        received_at, processed_at, fetch_ms, took_ms, error
    from billing_webhook_events
    where object_id = %(object)s and status <> 'duplicate'
    order by billing_webhook_events.id desc
    limit %(limit)s
) newest
order by id;

-- name: timing
select
    stage, count(*) as events, percentile_disc(0.5) within group (order by ms) as p50_ms,
    percentile_disc(0.95) within group (order by ms) as p95_ms, percentile_disc(0.99) within group (order by ms) as p99_ms,
    max(ms) as max_ms
from
    billing_webhook_events,
    lateral (
        values
            (1, 'delivery', case when source = 'delivery' then extract(epoch from received_at - event_created_at) * 1000 end),
            (2, 'waiting', extract(epoch from claimed_at - received_at) * 1000),
            (3, 'stripe', fetch_ms),
            (4, 'storing', took_ms - fetch_ms),
            (5, 'total', extract(epoch from processed_at - received_at) * 1000)
    ) as part (place, stage, exact),
    lateral (select greatest(0, round(exact))::bigint as ms) as whole
where
    received_at >= %(since)s and status = 'processed' and took_ms is not null and exact is not null
    and (%(type)s::text is null or type = %(type)s)
group by place, stage
order by place;

-- name: slow
-- What waits longer than the threshold is slow too, though nobody knows its end.
select
    event_id as event, type, object_id as object, received_at, attempts,
    greatest(0, total_ms - coalesce(took_ms, 0)) as waited_ms, coalesce(fetch_ms, 0) as stripe_ms,
    coalesce(took_ms - fetch_ms, 0) as stored_ms, total_ms, status as cause
from
    billing_webhook_events,
    lateral (
        select round(extract(epoch from coalesce(processed_at, %(now)s::timestamptz) - received_at) * 1000)::bigint as total_ms
    ) as time
where
    received_at >= %(since)s and status in ('received', 'processed', 'failed', 'failed_permanent') and total_ms >= %(threshold_ms)s
order by total_ms desc
limit %(limit)s;

-- name: undone
-- Each half has an index of its own, here and below.
select
    count(*) filter (where status = 'received') as waiting,
    count(*) filter (where status in ('failed', 'failed_permanent')) as failed,
    min(received_at) filter (where status in ('received', 'failed')) as oldest_waiting_at,
    (select max(received_at) from billing_webhook_events) as last_received_at
from (
    select status, received_at from billing_webhook_events where status in ('received', 'failed')
    union all
    select status, received_at from billing_webhook_events where status = 'failed_permanent'
) undone;

-- name: backlog
select
    count(*) filter (where status = 'received') as waiting,
    count(*) filter (where status = 'failed') as retrying,
    count(*) filter (where status = 'failed_permanent') as dead,
    count(*) filter (where status = 'parked') as parked,
    (select count(*) from billing_webhook_objects where next_at <= now()) as objects_due,
    (select count(*) from billing_webhook_objects where next_at is not null and lease_until >= now()) as objects_held,
    (select min(next_at) from billing_webhook_objects where next_at > now() and lease_until is null) as next_retry_at,
    min(received_at) filter (where status in ('received', 'failed')) as oldest_waiting_at,
    (select count(*) from billing_webhook_events where received_at > %(now)s::timestamptz - interval '5 minutes') as received_5m,
    (
        select count(*) from billing_webhook_events
        where received_at > %(now)s::timestamptz - interval '1 day' and processed_at > %(now)s::timestamptz - interval '5 minutes'
    ) as processed_5m
from (
    select status, received_at from billing_webhook_events where status in ('received', 'failed')
    union all
    select status, received_at from billing_webhook_events where status in ('failed_permanent', 'parked')
) undone;

-- name: repeats
select
    count(*) filter (where deliveries > 1) as delivered_again,
    coalesce(sum(deliveries - 1) filter (where deliveries > 1), 0)::bigint as repeats,
    (
        select count(*) from (
            select from billing_webhook_events where status <> 'duplicate' and received_at >= %(since)s
            group by event_id having count(*) > 1
        ) copies
    ) as stored_twice,
    count(*) filter (where status = 'duplicate') as marked
from billing_webhook_events
where received_at >= %(since)s;

-- name: twins
-- Stripe: "In some cases, two separate Event objects are generated and sent": of one type, object and second, with one content.
-- NUL, which jsonb cannot hold, is compared as the replacement character.
select id, event, twin_of, type, object, status
from (
    select
        id, event_id as event, type, object_id as object, status,
        first_value(event_id) over (
            partition by
                type, object_id, event_created_at, livemode,
                regexp_replace(payload, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g')::jsonb -> 'data'
            order by id
        ) as twin_of
    from billing_webhook_events
    where
        status <> 'duplicate' and (type, object_id, event_created_at) in (
            select type, object_id, event_created_at
            from billing_webhook_events
            where status <> 'duplicate' and received_at >= %(since)s
            group by type, object_id, event_created_at
            having count(*) > 1
        )
) alike
where twin_of <> event
order by id;
