-- Statements that read figures. As in queries.sql each carries user_id; what is read of raw events is read as it counts.

-- name: totals
-- Whole hours from rollups and unfolded deltas, the edges of a period that begins inside an hour from raw events.
-- One statement, so that a fold in between cannot count a delta twice. `%(users)s` null means everybody; `%(folded)s` leaves
-- the deltas of whole hours to the fold that will add them.
select
    user_id, metric_type, sum(events)::bigint as events, sum(total) as total, max(largest) as largest,
    (array_agg(last_value order by last_at desc, last_value desc))[1] as last_value, max(last_at) as last_at
from (
    select user_id, metric_type, events, total, largest, last_value, last_at
    from billing_usage_rollups
    where hour >= %(first)s and hour < %(last)s and (%(users)s::text[] is null or user_id = any(%(users)s))
    union all
    select user_id, metric_type, events, total, largest, last_value, last_at
    from billing_usage_deltas
    where not %(folded)s and hour >= %(first)s and hour < %(last)s and (%(users)s::text[] is null or user_id = any(%(users)s))
    union all
    select user_id, metric_type, 1, value, value, value, created_at
    from billing_usage_counted
    where
        ((created_at >= %(start)s and created_at < least(%(first)s, %(end)s)) or (created_at >= %(last)s and created_at < %(end)s))
        and (%(users)s::text[] is null or user_id = any(%(users)s))
) parts
where %(metric)s::text is null or metric_type = %(metric)s
group by user_id, metric_type
order by user_id, metric_type;

-- name: months
select distinct date_trunc('month', hour, %(zone)s::text) as month
from (
    select hour from billing_usage_rollups
    union
    select hour from billing_usage_deltas
) hours
order by month;

-- name: sums
-- From raw events: by hour or day (exact in every time zone; hours begin where UTC's do: `zone` is UTC then), by the value
-- of a property, and with the number of distinct values of each metric's field. Null is not asked for.
select
    user_id, metric_type, count(*) as events, sum(value) as total, max(value) as largest,
    (array_agg(value order by created_at desc, value desc))[1] as last_value, max(created_at) as last_at,
    date_trunc(%(unit)s::text, created_at, %(zone)s::text) as bucket, (dimensions -> %(group)s::text)::text as dimension,
    count(distinct dimensions -> (%(fields)s::jsonb ->> metric_type)) as uniques
from billing_usage_counted
where
    created_at >= %(start)s and created_at < %(end)s and (%(users)s::text[] is null or user_id = any(%(users)s))
    and (%(metrics)s::text[] is null or metric_type = any(%(metrics)s))
group by user_id, metric_type, bucket, dimension;

-- name: holders
-- Users and metrics of which something holds or happens before `end`. `%(users)s` null means everybody.
select distinct user_id as user, metric_type as metric
from (
    select user_id, metric_type from billing_usage_rollups
    where metric_type = any(%(metrics)s::text[]) and hour < %(end)s and (%(users)s::text[] is null or user_id = any(%(users)s))
    union all
    select user_id, metric_type from billing_usage_deltas
    where metric_type = any(%(metrics)s::text[]) and hour < %(end)s and (%(users)s::text[] is null or user_id = any(%(users)s))
) known;

-- name: areas
-- Each value holds until the next event of the user and metric, that before the span from its start on. What happened
-- before the span's hour is known from rollups and deltas; the event's property, where it is asked for, from the event.
select asked.user_id, asked.metric_type, asked.start, held.dimension, sum(held.value * held.seconds) as area
from unnest(%(users)s::text[], %(metrics)s::text[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
    as asked (user_id, metric_type, start, ends)
cross join lateral (
    select
        value, dimension,
        lead(second, 1, extract(epoch from date_trunc('second', asked.ends))) over (order by created_at, value, key) - second as seconds
    from (
        (
            select
                last_value as value, last_at as created_at, extract(epoch from date_trunc('second', asked.start)) as second, '' as key,
                case when %(group)s::text is not null then (
                    select (dimensions -> %(group)s)::text from billing_usage_counted
                    where user_id = asked.user_id and metric_type = asked.metric_type and created_at = last_at and value = last_value
                    order by idempotency_key desc
                    limit 1
                ) end as dimension
            from (
                (
                    select last_value, last_at from billing_usage_rollups
                    where user_id = asked.user_id and metric_type = asked.metric_type and hour < date_trunc('hour', asked.start, 'UTC')
                    order by hour desc
                    limit 1
                )
                union all
                (
                    select last_value, last_at from billing_usage_deltas
                    where user_id = asked.user_id and metric_type = asked.metric_type and hour < date_trunc('hour', asked.start, 'UTC')
                    order by last_at desc, last_value desc
                    limit 1
                )
                union all
                (
                    select value, created_at from billing_usage_counted
                    where
                        user_id = asked.user_id and metric_type = asked.metric_type
                        and created_at >= date_trunc('hour', asked.start, 'UTC') and created_at < asked.start
                    order by created_at desc, value desc
                    limit 1
                )
            ) before
            order by last_at desc, last_value desc
            limit 1
        )
        union all
        select value, created_at, extract(epoch from date_trunc('second', created_at)), idempotency_key, (dimensions -> %(group)s::text)::text
        from billing_usage_counted
        where
            user_id = asked.user_id and metric_type = asked.metric_type
            and created_at >= asked.start and created_at < asked.ends
    ) points
) held
group by asked.user_id, asked.metric_type, asked.start, held.dimension;

-- name: days
-- The same from rollups and deltas, and raw events where a bucket begins or ends inside an hour, as in `totals`: what was
-- archived counts too.
select
    user_id, metric_type, sum(events)::bigint as events, sum(total) as total, max(largest) as largest,
    (array_agg(last_value order by last_at desc, last_value desc))[1] as last_value, max(last_at) as last_at,
    date_trunc(%(unit)s::text, hour, %(zone)s::text) as bucket
from (
    select user_id, metric_type, hour, events, total, largest, last_value, last_at
    from (
        select user_id, metric_type, hour, events, total, largest, last_value, last_at from billing_usage_rollups
        union all
        select user_id, metric_type, hour, events, total, largest, last_value, last_at from billing_usage_deltas
    ) kept
    where
        user_id = %(user)s and hour >= %(first)s and hour < %(last)s
        and date_trunc(%(unit)s::text, hour, %(zone)s::text) = date_trunc(%(unit)s::text, hour + interval '59 minutes 59.999999 seconds', %(zone)s::text)
    union all
    select user_id, metric_type, created_at, 1, value, value, value, created_at
    from billing_usage_counted
    where
        user_id = %(user)s and created_at >= %(start)s and created_at < %(end)s
        and (
            created_at < %(first)s or created_at >= %(last)s
            or date_trunc(%(unit)s::text, date_trunc('hour', created_at, 'UTC'), %(zone)s::text)
                <> date_trunc(%(unit)s::text, date_trunc('hour', created_at, 'UTC') + interval '59 minutes 59.999999 seconds', %(zone)s::text)
        )
) parts
where %(metric)s::text is null or metric_type = %(metric)s
group by user_id, metric_type, bucket
order by bucket, metric_type;

-- name: archived_months
-- UTC months of which raw events are in the archive alone.
select month from billing_usage_archives
where state = 'dropped' and month >= date_trunc('month', %(start)s::timestamptz, 'UTC') and month < %(end)s
group by month
having sum(events - kept - returned) > 0
order by month;

-- name: lock_raw
-- Before the first look, so that no month is archived between what is looked at: emptying it does not wait for snapshots.
lock table billing_usage in access share mode;

-- name: archived_events
-- Whose raw events are in the archive alone, or nowhere any more.
select coalesce(sum(events - kept - returned), 0)::bigint from billing_usage_archives where state = 'dropped';

-- name: user_months
select distinct date_trunc('month', hour, %(zone)s::text) as month
from (
    select hour from billing_usage_rollups where user_id = %(user)s
    union
    select hour from billing_usage_deltas where user_id = %(user)s
) hours
order by month;

-- name: first_events
select created_at as at, value, idempotency_key as key, source, recorded_at
from billing_usage_counted
where user_id = %(user)s and metric_type = %(metric)s and created_at >= %(start)s and created_at < %(end)s
order by created_at, idempotency_key
limit %(limit)s;
