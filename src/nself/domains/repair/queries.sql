-- Statements of repair. Adjustments are distributed by user_id: each statement carries it, but those that look for a key.

-- name: events
-- The events of a key, with what they count.
select
    event.user_id as user, event.metric_type as metric, event.created_at as at, event.value, event.idempotency_key as key,
    event.source, event.recorded_at, nullif(event.properties, '') as properties,
    case when adjustment.counts is not false then coalesce(adjustment.value, event.value) end as counted
from billing_usage event
left join billing_usage_adjustments adjustment
    on adjustment.user_id = event.user_id and adjustment.idempotency_key = event.idempotency_key
    and adjustment.superseded_at is null
where event.user_id = any(%(users)s::text[]) and event.idempotency_key = %(key)s
order by event.user_id;

-- name: alike
-- Events that count, of which another one with the same metric, value and properties lies at most `within` away.
select "user", metric, at, value, counted, key, source, recorded_at, properties
from (
    select
        user_id as user, metric_type as metric, created_at as at, value, value as counted, idempotency_key as key, source,
        recorded_at, nullif(properties, '') as properties,
        lag(created_at) over said as before, lead(created_at) over said as after
    from billing_usage_counted
    where
        user_id = %(user)s and created_at >= %(start)s and created_at < %(end)s
        and (%(metric)s::text is null or metric_type = %(metric)s)
    window said as (partition by metric_type, value, coalesce(properties, '') order by created_at, recorded_at, idempotency_key)
) events
where at - before <= %(within)s or after - at <= %(within)s;

-- name: users_of_key
-- Without a user it looks through all keys: for a person's question, not for the way that usage takes.
select user_id from billing_usage_keys
where idempotency_key = %(key)s and (%(user)s::text is null or user_id = %(user)s)
order by user_id
limit 20;

-- name: supersede
update billing_usage_adjustments set superseded_at = %(now)s
where user_id = %(user)s and idempotency_key = any(%(keys)s::text[]) and superseded_at is null;

-- name: add_adjustments
insert into billing_usage_adjustments (
    user_id, idempotency_key, revision, kind, counts, value, value_before, metric_type, created_at, duplicate_of, reason, actor,
    adjusted_at
)
select
    %(user)s, given.key,
    1 + coalesce(
        (
            select max(revision) from billing_usage_adjustments earlier
            where earlier.user_id = %(user)s and earlier.idempotency_key = given.key
        ), 0
    ),
    kind, counts, value, value_before, metric, at, duplicate_of, %(reason)s, %(actor)s, %(now)s
from unnest(
    %(keys)s::text[], %(kinds)s::text[], %(counts)s::boolean[], %(values)s::bigint[], %(before)s::bigint[], %(metrics)s::text[],
    %(instants)s::timestamptz[], %(duplicate_of)s::text[]
) as given (key, kind, counts, value, value_before, metric, at, duplicate_of);

-- name: adjustments
select
    kind, value_before as before, case when counts then value end as value, duplicate_of, reason, actor, adjusted_at
from billing_usage_adjustments
where user_id = %(user)s and idempotency_key = %(key)s
order by revision;

-- name: rejected_with
select id, code, message, event, source, rejected_at
from billing_usage_rejected
where position(%(key)s::text in event) > 0 or position(%(escaped)s::text in event) > 0
order by id
limit %(most)s;

-- name: rejected
select id, code, message, event, source, rejected_at
from billing_usage_rejected
where (%(event)s::bigint is null or id = %(event)s) and (%(code)s::text is null or code = %(code)s)
order by id
limit %(limit)s;

-- name: take_rejected
-- Two replays share them out.
select id from billing_usage_rejected where id = any(%(ids)s::bigint[]) order by id for update skip locked;

-- name: remove_rejected
-- What was counted is rejected no longer.
delete from billing_usage_rejected where id = any(%(ids)s::bigint[]);

-- name: recompute
-- Rollups of some hours anew from the events as they count; what waits to be folded there is in it. Whatever is committed
-- meanwhile is in neither the events nor the deltas that this statement sees. Returns what they have more than before.
with given as (
    select user_id, metric_type, hour
    from unnest(%(users)s::text[], %(metrics)s::text[], %(hours)s::timestamptz[]) as given (user_id, metric_type, hour)
),
gone as (
    delete from billing_usage_deltas where (user_id, metric_type, hour) in (select user_id, metric_type, hour from given)
),
fresh as (
    select
        user_id, metric_type, hour, count(*) as events, sum(value) as total, max(value) as largest,
        (array_agg(value order by created_at desc, value desc))[1] as last_value, max(created_at) as last_at
    from given
    join billing_usage_counted event using (user_id, metric_type)
    where event.created_at >= hour and event.created_at < hour + interval '1 hour'
    group by user_id, metric_type, hour
),
empty as (
    delete from billing_usage_rollups
    where
        (user_id, metric_type, hour) in (
            select user_id, metric_type, hour from given
            except
            select user_id, metric_type, hour from fresh
        )
),
made as (
    insert into billing_usage_rollups as rollup (user_id, metric_type, hour, events, total, largest, last_value, last_at)
    select user_id, metric_type, hour, events, total, largest, last_value, last_at
    from fresh
    order by user_id, metric_type, hour
    on conflict (user_id, metric_type, hour) do update set
        events = excluded.events, total = excluded.total, largest = excluded.largest, last_value = excluded.last_value,
        last_at = excluded.last_at
)
select metric_type, hour, hashtext(user_id) & 15 as shard, sum(events)::bigint as events, sum(total) as total, 0::bigint as late
from (
    select user_id, metric_type, hour, events, total from fresh
    union all
    select user_id, metric_type, hour, -events, -total from billing_usage_rollups join given using (user_id, metric_type, hour)
) parts
group by metric_type, hour, shard;

-- name: hour
-- What one rollup and the deltas beside it say.
select
    coalesce(sum(events), 0)::bigint as events, coalesce(sum(total), 0) as total,
    coalesce(sum(events) filter (where pending), 0)::bigint as pending
from (
    select events, total, false as pending from billing_usage_rollups
    where user_id = %(user)s and metric_type = %(metric)s and hour = %(hour)s
    union all
    select events, total, true from billing_usage_deltas
    where user_id = %(user)s and metric_type = %(metric)s and hour = %(hour)s
) parts;

-- name: wrong_hours
-- Hours of a user whose rollups and deltas together are not what the events say.
select
    metric_type as metric, hour, coalesce(kept.events, 0) as events, coalesce(kept.total, 0) as total,
    coalesce(raw.events, 0) as events_after, coalesce(raw.total, 0) as total_after
from (
    select
        user_id, metric_type, hour, sum(events)::bigint as events, sum(total) as total, max(largest) as largest,
        (array_agg(last_value order by last_at desc, last_value desc))[1] as last_value, max(last_at) as last_at
    from (
        select user_id, metric_type, hour, events, total, largest, last_value, last_at
        from billing_usage_rollups
        where user_id = %(user)s and hour >= %(start)s and hour < %(end)s
        union all
        select user_id, metric_type, hour, events, total, largest, last_value, last_at
        from billing_usage_deltas
        where user_id = %(user)s and hour >= %(start)s and hour < %(end)s
    ) parts
    group by user_id, metric_type, hour
) kept
full join (
    select
        user_id, metric_type, date_trunc('hour', created_at, 'UTC') as hour, count(*) as events, sum(value) as total,
        max(value) as largest, (array_agg(value order by created_at desc, value desc))[1] as last_value, max(created_at) as last_at
    from billing_usage_counted
    where user_id = %(user)s and created_at >= %(start)s and created_at < %(end)s
    group by user_id, metric_type, hour
) raw using (user_id, metric_type, hour)
where
    (kept.events, kept.total, kept.largest, kept.last_value, kept.last_at)
        is distinct from (raw.events, raw.total, raw.largest, raw.last_value, raw.last_at)
    and (%(metric)s::text is null or metric_type = %(metric)s)
order by hour, metric;
