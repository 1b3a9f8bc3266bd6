-- The usage of all users. Totals by hour grow in the transaction that changes a rollup; shares are counted behind them.

-- name: add
-- Whoever changes rollups of a shard's users holds its lock, so that nobody else changes these rows.
insert into billing_usage_totals as known (metric_type, hour, shard, events, total, late)
select *
from unnest(
    %(metrics)s::text[], %(hours)s::timestamptz[], %(shards)s::integer[], %(events)s::bigint[], %(totals)s::numeric[], %(late)s::bigint[]
)
on conflict (metric_type, hour, shard) do update set
    events = known.events + excluded.events, total = known.total + excluded.total, late = known.late + excluded.late;

-- name: sums
-- Of the hours that begin in `[start, end)`, with what was not folded yet. One statement, so that a fold in between cannot
-- count a delta twice. Shards are added up first: where a day begins in a zone is costly to tell.
select
    metric_type as metric, date_trunc(%(unit)s::text, hour, %(zone)s::text) as bucket, sum(events)::bigint as events,
    sum(total) as total, sum(late)::bigint as late
from (
    select metric_type, hour, sum(events) as events, sum(total) as total, sum(late) as late
    from billing_usage_totals
    where hour >= %(start)s and hour < %(end)s
    group by metric_type, hour
    union all
    select
        metric_type, hour, events, total,
        case when hour + interval '1 hour' <= (select max(folded_at) from billing_usage_folds) then events else 0 end
    from billing_usage_deltas
    where hour >= %(start)s and hour < %(end)s
) parts
where %(metric)s::text is null or metric_type = %(metric)s
group by metric_type, bucket
having sum(events) > 0 and (sum(late) > 0 or not %(late)s)
order by bucket, metric;

-- name: lock_drift
-- Two who mend at once would both add what they find missing.
select pg_advisory_xact_lock(hashtext('billing_usage_totals'));

-- name: drift
-- By how much totals are not what rollups are, where another hand changed these. Both are of one snapshot and change in the
-- same transactions, so that what is between them is true whoever folds meanwhile.
select metric_type, hour, shard, sum(events)::bigint as events, sum(total) as total
from (
    select metric_type, hour, hashtext(user_id) & 15 as shard, events, total from billing_usage_rollups
    union all
    select metric_type, hour, shard, -events, -total from billing_usage_totals
) parts
group by metric_type, hour, shard
having sum(events) <> 0 or sum(total) <> 0;

-- name: months
select date_trunc('month', hour, %(zone)s::text) as month, metric_type as metric, sum(events)::bigint as events
from billing_usage_totals
group by month, metric
order by month, metric;

-- name: many
-- Whether there are more rollups or events than are read for one answer.
select
    (select count(*) from (select from billing_usage_rollups limit %(most)s + 1) seen) > %(most)s
    or (select count(*) from (select from billing_usage limit %(most)s + 1) seen) > %(most)s;

-- name: users
-- By user, as in `usage.totals`.
select
    user_id as name,
    case %(aggregation)s::text
        when 'sum' then sum(total) when 'count' then sum(events) when 'max' then max(largest)
        when 'last' then (array_agg(last_value order by last_at desc, last_value desc))[1]
    end as value,
    sum(events)::bigint as events
from (
    select user_id, hour, events, total, largest, last_value, last_at from billing_usage_rollups where metric_type = %(metric)s
    union all
    select user_id, hour, events, total, largest, last_value, last_at from billing_usage_deltas where metric_type = %(metric)s
) parts
where hour >= %(start)s and hour < %(end)s
group by user_id
order by value desc nulls last, events desc, name
limit %(limit)s;

-- name: groups
-- By the value of a property. What all users used is said of metrics alone whose figures add up.
select
    (dimensions -> %(dimension)s::text)::text as name,
    case %(aggregation)s::text when 'sum' then sum(value) when 'count' then count(*) end as value, count(*) as events
from billing_usage_counted
where metric_type = %(metric)s and created_at >= %(start)s and created_at < %(end)s and user_id is not null
group by name
order by value desc nulls last, events desc, name
limit %(limit)s;

-- name: patient
-- As long as it takes.
select set_config('statement_timeout', '0', true);

-- name: archived
-- Whether raw events of `[start, end)` are in the archive alone.
select exists (
    select from billing_usage_archives
    where state = 'dropped' and month >= date_trunc('month', %(start)s::timestamptz, 'UTC') and month < %(end)s
);

-- name: share_counts
select period_start as month, metric_type as metric, dimension, events, counted_at
from billing_usage_share_counts
where %(month)s::timestamptz is null or period_start = %(month)s;

-- name: note_count
insert into billing_usage_share_counts (period_start, metric_type, dimension, events, counted_at)
values (%(month)s, %(metric)s, %(dimension)s, %(events)s, %(now)s)
on conflict (period_start, metric_type, dimension) do update set events = excluded.events, counted_at = excluded.counted_at;

-- name: doubt_shares
-- -1 is no number of events, so they are counted anew. Of every month, whatever its zone, that may have one of the hours.
update billing_usage_share_counts counted set events = -1
from unnest(%(metrics)s::text[], %(hours)s::timestamptz[]) as given (metric_type, hour)
where
    counted.metric_type = given.metric_type
    and given.hour > counted.period_start - interval '1 hour' and given.hour < counted.period_start + interval '32 days';

-- name: forget_shares
delete from billing_usage_shares where period_start = %(month)s and metric_type = %(metric)s and dimension = %(dimension)s;

-- name: keep_shares
insert into billing_usage_shares (period_start, metric_type, dimension, place, name, value, events)
select %(month)s, %(metric)s, %(dimension)s, place, name, value, events
from unnest(%(names)s::text[], %(amounts)s::numeric[], %(events)s::bigint[]) with ordinality as given (name, value, events, place);

-- name: shares
select name, value, events
from billing_usage_shares
where period_start = %(month)s and metric_type = %(metric)s and dimension = %(dimension)s
order by place
limit %(limit)s;
