-- Statements that show root causes: they look at what was recorded last, so that they stay fast however much there is.

-- name: latest
-- Since when the newest events that are looked at were recorded; null where there are none.
select min(at)
from (
    select at, received, sum(received) over (order by id desc) as events
    from (select id, at, received from billing_usage_intake order by id desc limit 5000) newest
) counted
where events - received < %(most)s and at >= %(since)s;

-- name: resent
-- Users of whom events without a key of their own say what an earlier commit said of the same instant, and both count. Many
-- senders know whole seconds only, where two of one second may be two: those are a repetition where one commit repeats several
-- of another.
with twins as (
    select
        fresh.user_id, fresh.metric_type, fresh.created_at, fresh.recorded_at, twin.recorded_at as first_recorded_at,
        count(*) over (partition by fresh.user_id, fresh.recorded_at, twin.recorded_at) as together
    from (
        select user_id, metric_type, value, created_at, properties, idempotency_key, recorded_at
        from billing_usage
        where recorded_at >= %(since)s and idempotency_key ~ '^@[0-9a-f]{32}(:\d+)?$'
        limit %(most)s
    ) fresh
    cross join lateral (
        select other.recorded_at, other.idempotency_key
        from billing_usage other
        where
            other.user_id = fresh.user_id and other.created_at = fresh.created_at and other.metric_type = fresh.metric_type
            and other.value = fresh.value and coalesce(other.properties, '') = coalesce(fresh.properties, '')
            and other.recorded_at < fresh.recorded_at
            and not exists (
                select from billing_usage_adjustments taken
                where
                    taken.user_id = other.user_id and taken.idempotency_key = other.idempotency_key
                    and taken.superseded_at is null and not taken.counts
            )
        limit 1
    ) twin
    where not exists (
        select from billing_usage_adjustments taken
        where
            taken.user_id = fresh.user_id and taken.idempotency_key = fresh.idempotency_key and taken.superseded_at is null
            and not taken.counts
    )
)
select
    user_id as user, count(*) as events, min(created_at) as first_at, max(created_at) as last_at, max(recorded_at) as recorded_at,
    min(metric_type) as metric
from twins
where together >= %(least)s or created_at <> date_trunc('second', created_at)
group by user_id
having count(*) >= %(least)s
order by events desc, user_id
limit 10;

-- name: crooked
-- Hours in which events were recorded lately and whose rollups and deltas are not what the events say. One statement sees one
-- state of all, so that nothing that is under way is taken for a difference.
with places as (
    select distinct user_id, metric_type, date_trunc('hour', created_at, 'UTC') as hour
    from (
        select user_id, metric_type, created_at from billing_usage where recorded_at >= %(since)s limit %(most)s
    ) fresh
    limit 2000
)
select
    place.user_id as user, place.metric_type as metric, place.hour, kept.events, kept.total, raw.events as events_after,
    raw.total as total_after
from places place
cross join lateral (
    select coalesce(sum(events), 0)::bigint as events, coalesce(sum(total), 0) as total
    from (
        select events, total from billing_usage_rollups
        where user_id = place.user_id and metric_type = place.metric_type and hour = place.hour
        union all
        select events, total from billing_usage_deltas
        where user_id = place.user_id and metric_type = place.metric_type and hour = place.hour
    ) parts
) kept
cross join lateral (
    select count(*) as events, coalesce(sum(value), 0) as total
    from billing_usage_counted event
    where
        event.user_id = place.user_id and event.metric_type = place.metric_type
        and event.created_at >= place.hour and event.created_at < place.hour + interval '1 hour'
) raw
where
    (kept.events, kept.total) is distinct from (raw.events, raw.total)
    and date_trunc('month', place.hour, 'UTC')::date <> all(%(archived)s::date[])
order by place.user_id, place.hour
limit 10;
