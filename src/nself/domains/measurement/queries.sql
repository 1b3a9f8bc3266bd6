-- Statements of measurements.

-- name: add
-- In the order of the keys: two processes that write at once must not wait for each other in a circle.
with given as (
    select name, labels, count, seconds, counts
    from jsonb_to_recordset(%(given)s::jsonb) as given (name text, labels text [], count bigint, seconds float8, counts bigint [])
    order by name, labels
),
ever as (
    insert into billing_measured as kept (name, labels, count, seconds, counts)
    select name, labels, count, seconds, counts from given
    on conflict (name, labels) do update set
        count = kept.count + excluded.count,
        seconds = kept.seconds + excluded.seconds,
        counts = (
            select array_agg(coalesce(one.here, 0) + coalesce(one.more, 0) order by one.place)
            from unnest(kept.counts, excluded.counts) with ordinality as one (here, more, place)
        )
)
insert into billing_measurements as kept (at, width, name, labels, count, seconds, counts)
select %(at)s, %(width)s, name, labels, count, seconds, counts from given
on conflict (at, width, name, labels) do update set
    count = kept.count + excluded.count,
    seconds = kept.seconds + excluded.seconds,
    counts = (
        select array_agg(coalesce(one.here, 0) + coalesce(one.more, 0) order by one.place)
        from unnest(kept.counts, excluded.counts) with ordinality as one (here, more, place)
    );

-- name: between
select name, labels, sum(count)::bigint count, sum(seconds) seconds, (
    select array_agg(total order by place) from (
        select one.place, sum(one.amount)::bigint total
        from billing_measurements inside, unnest(inside.counts) with ordinality as one (amount, place)
        where inside.at >= %(start)s and inside.at < %(end)s and inside.name = kept.name and inside.labels = kept.labels
        group by one.place
    ) added
) counts
from billing_measurements kept
where at >= %(start)s and at < %(end)s and (%(name)s::text is null or name = %(name)s)
group by name, labels
order by name, labels;

-- name: by_minute
select at, labels, count
from billing_measurements
where name = %(name)s and at >= %(start)s and at < %(end)s
order by at, labels;

-- name: ever
select name, labels, count, seconds, counts from billing_measured order by name, labels;

-- name: widen
-- Minutes of long ago become hours.
with old as (
    delete from billing_measurements where width = interval '1 minute' and at < %(before)s returning *
),
counted as (
    select date_trunc('hour', at, 'UTC') at, name, labels, place, sum(amount)::bigint total
    from old, unnest(counts) with ordinality as one (amount, place)
    group by 1, 2, 3, 4
),
summed as (
    select date_trunc('hour', at, 'UTC') at, name, labels, sum(count)::bigint count, sum(seconds) seconds
    from old
    group by 1, 2, 3
)
insert into billing_measurements (at, width, name, labels, count, seconds, counts)
select summed.at, interval '1 hour', summed.name, summed.labels, summed.count, summed.seconds, (
    select array_agg(total order by place) from counted
    where counted.at = summed.at and counted.name = summed.name and counted.labels = summed.labels
)
from summed
on conflict (at, width, name, labels) do nothing;

-- name: forget
delete from billing_measurements where width = interval '1 hour' and at < %(before)s;
