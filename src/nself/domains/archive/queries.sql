-- Statements of the archive. Months are UTC's, as the partitions are.

-- name: partitions
select to_date(right(child.relname, 7), 'YYYY_MM') as month, pg_total_relation_size(child.oid) as bytes
from pg_inherits
join pg_class child on child.oid = inhrelid
where inhparent = 'billing_usage'::regclass
order by month;

-- name: raw_events
select count(*) from billing_usage where created_at >= %(start)s and created_at < %(end)s;

-- name: month_counts
-- `away` are those that only the archive has, or nobody any more; `taken_out` are stored and do not count.
select
    (
        select count(*) from billing_usage_adjustments
        where superseded_at is null and not counts and created_at >= %(start)s and created_at < %(end)s
    ) as taken_out,
    (select count(*) from billing_usage where created_at >= %(start)s and created_at < %(end)s) as raw_events,
    (
        select coalesce(sum(events - kept - returned), 0)::bigint
        from billing_usage_archives where month = %(month)s and state = 'dropped'
    ) as away,
    (select coalesce(sum(events), 0)::bigint from billing_usage_rollups where hour >= %(start)s and hour < %(end)s) as counted,
    (select coalesce(sum(events), 0)::bigint from billing_usage_deltas where hour >= %(start)s and hour < %(end)s) as pending;

-- name: leaving
-- Raw events of a month outside the hours and metrics that stay.
select count(*) from billing_usage
where
    created_at >= %(start)s and created_at < %(end)s
    and date_trunc('hour', created_at, 'UTC') <> all(%(kept)s::timestamptz[]) and metric_type <> all(%(metrics)s::text[]);

-- name: metered
select metric_type as metric, count(*) as events, sum(value) as total
from billing_usage
where created_at >= %(start)s and created_at < %(end)s
group by metric_type;

-- name: export
-- Sorted by the bytes of the user's name, so that a reader can pass over the objects that cannot hold it.
copy (
    select
        event.user_id, event.metric_type, event.value, event.created_at, event.idempotency_key,
        encode(key.digest, 'hex'), event.properties, event.dimensions::text, event.source, event.recorded_at
    from billing_usage event
    left join billing_usage_keys key using (user_id, idempotency_key)
    where event.created_at >= %(start)s and event.created_at < %(end)s
    order by event.user_id collate "C", event.created_at
) to stdout (format csv, delimiter e'\t', quote e'\x01');

-- name: without_limit
-- Work on a whole month takes as long as it takes.
select set_config('statement_timeout', '0', true);

-- name: limit_locks
select set_config('lock_timeout', %(milliseconds)s::text, true);

-- name: try_month
-- One at a time archives or restores a month; whoever is killed leaves nothing locked.
select pg_try_advisory_xact_lock(hashtext('billing_usage_archive'), to_char(%(month)s::date, 'YYYYMM')::integer);

-- name: lock_month
select billing.lock_usage_month(%(month)s::date);

-- name: empty_month
select billing.empty_usage_month(%(month)s::date, %(kept)s::timestamptz[], %(metrics)s::text[]);

-- name: make_owner
insert into billing_usage_archive_owner (owner) values (%(owner)s) on conflict do nothing;

-- name: owner
select owner from billing_usage_archive_owner;

-- name: begin
insert into billing_usage_archives (month, state, location, actor, started_at)
values (%(month)s, 'writing', %(location)s, %(actor)s, %(now)s);

-- name: under_way
select * from billing_usage_archives where month = %(month)s and state in ('writing', 'verified');

-- name: verified
update billing_usage_archives set
    state = 'verified', events = %(events)s, objects = %(objects)s, bytes = %(bytes)s, manifest_sha256 = %(sha256)s, verified_at = %(now)s
where id = %(id)s;

-- name: dropped
update billing_usage_archives set state = 'dropped', kept = %(kept)s, dropped_at = %(now)s where id = %(id)s;

-- name: dropped_for_good
insert into billing_usage_archives (month, state, location, events, kept, actor, started_at, dropped_at)
values (%(month)s, 'dropped', '', %(events)s, %(kept)s, %(actor)s, %(now)s, %(now)s);

-- name: abandoned
update billing_usage_archives set state = 'abandoned' where id = %(id)s;

-- name: returned
-- Not more than are away: what somebody deleted by hand was never sent away.
update billing_usage_archives set returned = returned + least(%(events)s, away.events)
from (
    select max(id) as id, sum(events - kept - returned)::bigint as events
    from billing_usage_archives where month = %(month)s and state = 'dropped'
) away
where billing_usage_archives.id = away.id;

-- name: archives
select * from billing_usage_archives where %(month)s::date is null or month = %(month)s order by month, id;

-- name: note
insert into billing_usage_archive_log (month, action, events, detail, actor, at)
values (%(month)s, %(action)s, %(events)s, %(detail)s, %(actor)s, %(now)s);

-- name: known
-- What this database knows of archived events: whether the key was seen, with this content, and whether the event is here.
select
    key.user_id is not null as known, coalesce(encode(key.digest, 'hex') = given.digest, false) as same,
    event.user_id is not null as present
from rows from (
    json_to_recordset(%(rows)s::json) as (user_id text, idempotency_key text, digest text, created_at timestamptz)
) with ordinality as given (user_id, idempotency_key, digest, created_at, n)
left join billing_usage_keys key using (user_id, idempotency_key)
left join billing_usage event using (user_id, created_at, idempotency_key)
order by given.n;

-- name: put_back
with added as (
    insert into billing_usage (user_id, metric_type, value, created_at, idempotency_key, properties, dimensions, source, recorded_at)
    select user_id, metric_type, value, created_at, idempotency_key, properties, dimensions::jsonb, source, recorded_at
    from json_to_recordset(%(rows)s::json) as given (
        user_id text, metric_type text, value bigint, created_at timestamptz, idempotency_key text, properties text, dimensions text, source text,
        recorded_at timestamptz
    )
    on conflict do nothing
    returning 1
)
select count(*) from added;
