-- Statements of metering. The usage family is distributed by user_id: each statement carries it (scale.md).

-- name: make_staging
-- Temporary, so that two writers never meet; emptied at each commit.
create temporary table if not exists usage_staging (
    n integer not null,
    user_id text not null,
    metric_type text not null,
    value bigint not null,
    created_at timestamptz not null,
    idempotency_key text not null,
    digest bytea not null,
    properties text,
    dimensions jsonb
) on commit delete rows;

-- name: fill_staging
-- CSV without a quote that could occur, here and below: nothing is escaped, what is empty is null.
copy usage_staging (n, user_id, metric_type, value, created_at, idempotency_key, digest, properties, dimensions)
from stdin (format csv, delimiter e'\t', quote e'\x01');

-- name: add_keys
-- Where every key is new; sorted, so that two writers do not deadlock. COPY takes two thirds of what ON CONFLICT takes.
copy billing_usage_keys (user_id, idempotency_key, digest) from stdin (format csv, delimiter e'\t', quote e'\x01');

-- name: add_events
-- In the order of the primary key: a third of the cost where few users send most.
copy billing_usage (user_id, created_at, idempotency_key, metric_type, value, properties, dimensions, source, recorded_at)
from stdin (format csv, delimiter e'\t', quote e'\x01');

-- name: add_deltas
-- Of two values at the same instant the larger is the last, here and below: no order of commits or folds changes a total.
copy billing_usage_deltas (user_id, metric_type, hour, events, total, largest, last_value, last_at)
from stdin (format csv, delimiter e'\t', quote e'\x01');

-- name: add_new
-- The three above and the intake of a small commit, as one statement and one transaction: there a round trip costs more than
-- what COPY saves. A key that is known fails all of it.
with events as (
    select *
    from unnest(
        %(users)s::text[], %(metrics)s::text[], %(values)s::bigint[], %(ats)s::timestamptz[], %(keys)s::text[], %(digests)s::text[],
        %(properties)s::text[], %(dimensions)s::text[]
    ) as given (user_id, metric_type, value, created_at, idempotency_key, digest, properties, dimensions)
),
keys as (
    insert into billing_usage_keys (user_id, idempotency_key, digest)
    select user_id, idempotency_key, decode(digest, 'hex') from events
),
stored as (
    insert into billing_usage (
        user_id, metric_type, value, created_at, idempotency_key, properties, dimensions, source, recorded_at
    )
    select
        user_id, metric_type, value, created_at, idempotency_key, nullif(properties, ''), nullif(dimensions, '')::jsonb,
        %(source)s, %(now)s
    from events
),
deltas as (
    insert into billing_usage_deltas (user_id, metric_type, hour, events, total, largest, last_value, last_at)
    select *
    from unnest(
        %(delta_users)s::text[], %(delta_metrics)s::text[], %(hours)s::timestamptz[], %(counts)s::bigint[], %(totals)s::numeric[],
        %(largest)s::bigint[], %(last_values)s::bigint[], %(last_ats)s::timestamptz[]
    )
)
insert into billing_usage_intake (source, received, duplicate, at)
select %(source)s, count(*), 0, %(now)s from events;

-- name: store_staged
-- Where keys may be known: keys first, sorted, then the events of the keys that were new.
-- Returns the n of what was not new.
with input as (
    select distinct on (user_id, idempotency_key) *
    from usage_staging
    order by user_id, idempotency_key, n
),
fresh as (
    insert into billing_usage_keys (user_id, idempotency_key, digest)
    select user_id, idempotency_key, digest
    from input
    order by user_id, idempotency_key
    on conflict do nothing
    returning user_id, idempotency_key
),
counted as (
    select input.* from input join fresh using (user_id, idempotency_key)
),
events as (
    insert into billing_usage (user_id, metric_type, value, created_at, idempotency_key, properties, dimensions, source, recorded_at)
    select user_id, metric_type, value, created_at, idempotency_key, properties, dimensions, %(source)s, %(now)s
    from counted
)
select staged.n
from usage_staging staged
left join counted on counted.n = staged.n
where counted.n is null;

-- name: classify_known
-- Runs as a statement of its own, so that it sees keys that another writer committed meanwhile.
select staged.n
from usage_staging staged
join billing_usage_keys keys using (user_id, idempotency_key)
where staged.n = any(%(numbers)s::integer[]) and keys.digest <> staged.digest;

-- name: ensure_month
select billing.ensure_usage_month(%(first_day)s::date);

-- name: add_intake
insert into billing_usage_intake (source, received, duplicate, at)
values (%(source)s, %(received)s, %(duplicate)s, %(now)s);

-- name: add_rejected
insert into billing_usage_rejected (event, code, message, source, rejected_at)
select event, code, message, %(source)s, at
from unnest(%(events)s::text[], %(codes)s::text[], %(messages)s::text[], %(instants)s::timestamptz[]) as given (event, code, message, at);

-- name: recounted
select before, events from billing_usage_recounts;

-- name: lock_recount
-- As long as it takes. Nobody takes raw events away meanwhile, or puts them back.
select set_config('statement_timeout', '0', true), pg_advisory_xact_lock(hashtext('billing_usage_recounts'));

-- name: recount
-- All of them are counted in an index, which tells no time; those of the last hour are few.
insert into billing_usage_recounts (before, events, counted_at)
select
    %(before)s, (select count(*) from billing_usage) - (select count(*) from billing_usage where recorded_at >= %(before)s), %(now)s
on conflict (one) do update set before = excluded.before, events = excluded.events, counted_at = excluded.counted_at
returning events;

-- name: raw_events_about
-- As the planner estimates it.
select coalesce(sum(reltuples) filter (where reltuples > 0), 0)::bigint
from pg_partition_tree('billing_usage') tree join pg_class on oid = tree.relid
where isleaf;

-- name: gather_intake
-- All but the newest become one row of each source, which takes the place of its last.
with gone as (
    delete from billing_usage_intake
    where id <= (select max(id) - %(kept)s from billing_usage_intake) and at < %(before)s
    returning *
)
insert into billing_usage_intake (id, source, received, duplicate, at) overriding system value
select max(id), source, sum(received)::bigint, sum(duplicate)::bigint, max(at) from gone group by source;

-- name: forget_recount
delete from billing_usage_recounts;

-- name: counts
-- Of raw events those are counted that were recorded after the last recount; all, where there is none.
-- The two sides of the law come from different tables: intake on the left, rollups, deltas and rejected on the right.
select
    (select coalesce(sum(received), 0)::bigint from billing_usage_intake) as received,
    (select coalesce(sum(duplicate), 0)::bigint from billing_usage_intake) as duplicate,
    (select count(*) from billing_usage_rejected) as rejected,
    (select count(*) from billing_usage_adjustments where superseded_at is null and kind = 'duplicate') as deduplicated,
    (select count(*) from billing_usage_adjustments where superseded_at is null and kind = 'void') as voided,
    (select coalesce(sum(events), 0)::bigint from billing_usage_rollups) as rolled_up,
    (select coalesce(sum(events), 0)::bigint from billing_usage_deltas) as pending,
    %(events)s + (select count(*) from billing_usage where %(before)s::timestamptz is null or recorded_at >= %(before)s) as raw_events,
    (select max(at) from billing_usage_intake) as last_recorded_at,
    (select max(folded_at) from billing_usage_folds) as last_fold_at;

-- name: rejected_reasons
select code, count(*) as events, min(message) as example
from (
    select code, message from billing_usage_rejected
    union all
    select 'voided', reason from billing_usage_adjustments where superseded_at is null and kind = 'void'
) refused
group by code
order by events desc, code;

-- name: try_shard
-- Whoever comes second leaves it to the first.
select pg_try_advisory_xact_lock(hashtext('billing_usage_fold'), %(shard)s::integer);

-- name: lock_users
-- In the order of the shards, so that two that want several do not deadlock.
select pg_advisory_xact_lock(hashtext('billing_usage_fold'), shard)
from (select distinct hashtext(user_id) & 15 as shard from unnest(%(users)s::text[]) as given (user_id) order by shard) wanted;

-- name: lock_everybody
select pg_advisory_xact_lock(hashtext('billing_usage_fold'), shard) from generate_series(0, 15) as shard;

-- name: pending
-- A page of what has unfolded deltas, behind a key. A user's shard is the lock under which its rollups and counters change.
select user_id, metric_type, hour, count(*) as deltas, hashtext(user_id) & 15 as shard
from billing_usage_deltas
where (user_id, metric_type, hour) > (%(user)s::text, %(metric)s::text, %(hour)s::timestamptz)
group by user_id, metric_type, hour
order by user_id, metric_type, hour
limit %(limit)s;

-- name: pending_users
select distinct user_id from billing_usage_deltas order by user_id limit %(limit)s;

-- name: pending_of_users
select user_id, metric_type, hour, count(*) as deltas, hashtext(user_id) & 15 as shard
from billing_usage_deltas
where user_id = any(%(users)s::text[])
group by user_id, metric_type, hour;

-- name: fold
-- Quota counters grow by what lies in what they count. Where that cannot be told (the counter counts a part of the hour: of
-- several events, or of one that it has already, since it reads parts of hours from raw events), or the figure is no sum,
-- they are to be built anew. Events of hours that were over at the last fold come late.
with taken as (
    delete from billing_usage_deltas
    where (user_id, metric_type, hour) in (
        select user_id, metric_type, hour
        from unnest(%(users)s::text[], %(metrics)s::text[], %(hours)s::timestamptz[]) as given (user_id, metric_type, hour)
    )
    returning *
),
grouped as (
    select
        user_id, metric_type, hour, sum(events)::bigint as events, sum(total) as total, max(largest) as largest,
        (array_agg(last_value order by last_at desc, last_value desc))[1] as last_value, max(last_at) as last_at, count(*) as deltas
    from taken
    group by user_id, metric_type, hour
),
growth as (
    select
        user_id, metric_type, counter.window_start,
        coalesce(sum(case counter.aggregation when 'sum' then total when 'count' then events end), 0) as grown,
        bool_or(
            counter.aggregation not in ('sum', 'count')
            or hour < counter.counted_from or hour + interval '1 hour' > counter.window_end
        ) as unclear
    from taken
    join billing_quota_counters counter using (user_id, metric_type)
    where
        last_at >= counter.counted_from and hour < counter.window_end
        and (events > 1 or last_at < counter.window_end)
    group by user_id, metric_type, counter.window_start
),
counted as (
    update billing_quota_counters counter
    set used = counter.used + growth.grown, stale = counter.stale or growth.unclear
    from growth
    where
        counter.user_id = growth.user_id and counter.metric_type = growth.metric_type
        and counter.window_start = growth.window_start
),
folded as (
    insert into billing_usage_rollups as rollup (user_id, metric_type, hour, events, total, largest, last_value, last_at)
    select user_id, metric_type, hour, events, total, largest, last_value, last_at
    from grouped
    order by user_id, metric_type, hour
    on conflict (user_id, metric_type, hour) do update set
        events = rollup.events + excluded.events,
        total = rollup.total + excluded.total,
        largest = greatest(rollup.largest, excluded.largest),
        last_value = case
            when (excluded.last_at, excluded.last_value) > (rollup.last_at, rollup.last_value) then excluded.last_value
            else rollup.last_value
        end,
        last_at = greatest(rollup.last_at, excluded.last_at)
)
select
    metric_type, hour, hashtext(user_id) & 15 as shard, sum(events)::bigint as events, sum(total) as total,
    case when hour + interval '1 hour' <= %(counted)s::timestamptz then sum(events)::bigint else 0 end as late, sum(deltas)::bigint as deltas
from grouped
group by metric_type, hour, shard;

-- name: note_fold
insert into billing_usage_folds (shard, folded_at, deltas, duration, workers)
values (0, %(now)s, %(deltas)s, %(duration)s, %(workers)s)
on conflict (shard) do update set
    folded_at = excluded.folded_at, deltas = excluded.deltas, duration = excluded.duration, workers = excluded.workers;

-- name: last_fold_at
select max(folded_at) from billing_usage_folds;

-- name: spool_place
select segment, position as "offset" from billing_usage_spools where spool = %(spool)s;

-- name: begin_spool
insert into billing_usage_spools (spool, segment, position)
values (%(spool)s, %(segment)s, %(position)s)
on conflict (spool) do nothing;

-- name: lock_spool
-- Two collectors take turns, chunk by chunk.
select segment, position as "offset" from billing_usage_spools where spool = %(spool)s for update;

-- name: advance_spool
update billing_usage_spools set
    segment = %(segment)s, position = %(position)s, events = events + %(events)s, drained_at = %(now)s
where spool = %(spool)s;

-- name: pending_events
select coalesce(sum(events), 0)::bigint from billing_usage_deltas;

-- name: begin_import
insert into billing_usage_imports (
    source, path, format, count_metric, bytes_metric, origin, position, lines, started_at, updated_at
)
values (%(source)s, %(path)s, %(format)s, %(count_metric)s, %(bytes_metric)s, %(origin)s, 0, 0, %(now)s, %(now)s)
on conflict (source) do nothing;

-- name: lock_import
-- Two imports of one file take turns, chunk by chunk.
select position, digest, path from billing_usage_imports where source = %(source)s for update;

-- name: advance_import
update billing_usage_imports set
    position = %(position)s, digest = %(digest)s, lines = lines + %(lines)s, received = received + %(received)s, counted = counted + %(counted)s,
    duplicate = duplicate + %(duplicate)s, rejected = rejected + %(rejected)s, updated_at = %(now)s
where source = %(source)s;

-- name: unfolded
-- More rollups than `%(most)s` are estimated, as the planner does it.
select
    (select count(*) from billing_usage_deltas) as pending_deltas,
    (select coalesce(sum(events), 0)::bigint from billing_usage_deltas) as pending_events,
    (select min(hour) from billing_usage_deltas) as oldest_pending_hour,
    (
        select case when count(*) > %(most)s then greatest(count(*), (
            select reltuples::bigint from pg_class where oid = 'billing_usage_rollups'::regclass
        )) else count(*) end
        from (select from billing_usage_rollups limit %(most)s + 1) seen
    ) as hourly_rollups,
    max(folded_at) as last_fold_at, sum(deltas)::bigint as last_fold_deltas, extract(epoch from max(duration))::float as last_fold_seconds,
    max(workers) as last_fold_workers
from billing_usage_folds;

-- name: audit
-- `same`: events that count, of one metric, value, instant and content. Two of them are a duplicate only where one was sent
-- twice without a key: two requests of one millisecond are two.
select *
from (
    select
        event.created_at as at, event.metric_type as metric, event.value, event.idempotency_key as key, event.source,
        event.recorded_at, nullif(event.properties, '') as properties,
        case when adjustment.counts is not false then coalesce(adjustment.value, event.value) end as counted,
        case when adjustment.counts is not false then
            count(*) filter (where adjustment.counts is not false) over (
                partition by event.metric_type, event.created_at, event.value, coalesce(event.properties, '')
            )
        else 0 end as same
    from billing_usage event
    left join billing_usage_adjustments adjustment
        on adjustment.user_id = event.user_id and adjustment.idempotency_key = event.idempotency_key
        and adjustment.superseded_at is null
    where
        event.user_id = %(user)s and event.created_at >= %(start)s and event.created_at < %(end)s
        and (%(metric)s::text is null or event.metric_type = %(metric)s)
) events
where same > 1 or not %(only_same)s
order by at, metric, key
limit %(limit)s;

-- name: rejected
select id, code, message, event, source, rejected_at
from billing_usage_rejected
where %(code)s::text is null or code = %(code)s
order by id desc
limit %(limit)s;

-- name: last_recorded_at
select at from billing_usage_intake order by id desc limit 1;
