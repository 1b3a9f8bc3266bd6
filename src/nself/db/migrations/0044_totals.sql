-- squawk-ignore-file adding-serial-primary-key-field
-- What all users together used. Local to the coordinator; one row an hour, metric and shard of users, which grows in the
-- transaction that changes a rollup. `late` of the events came after their hour was over and had been counted.
create table billing_usage_totals (
    metric_type text not null,
    hour timestamptz not null,
    shard integer not null,
    events bigint not null,
    total numeric not null,
    late bigint not null,
    primary key (hour, metric_type, shard)
);
insert into billing_usage_totals (metric_type, hour, shard, events, total, late)
select metric_type, hour, hashtext(user_id) & 15 as shard, sum(events)::bigint, sum(total), 0
from billing_usage_rollups
group by metric_type, hour, shard;

-- Who used most in a month, and how much by the value of a property (as JSON; null where events have none); by user where
-- `dimension` is empty. `value` is null where figures do not add up.
create table billing_usage_shares (
    period_start timestamptz not null,
    metric_type text not null,
    dimension text not null,
    place bigint not null,
    name text,
    value numeric,
    events bigint not null,
    primary key (period_start, metric_type, dimension, place)
);

-- When they were counted, and out of how many events.
create table billing_usage_share_counts (
    period_start timestamptz not null,
    metric_type text not null,
    dimension text not null,
    events bigint not null,
    counted_at timestamptz not null,
    primary key (period_start, metric_type, dimension)
);
