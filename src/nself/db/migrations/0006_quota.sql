-- A user's own limit; distributed by user_id. -1 is unlimited.
create table billing_quotas (
    user_id text not null,
    metric_type text not null,
    limit_value bigint not null check (limit_value >= -1),
    period text not null check (period in ('hour', 'day', 'week', 'month', 'year')),
    mode text not null check (mode in ('hard', 'soft', 'overage')),
    updated_at timestamptz not null,
    primary key (user_id, metric_type)
);

-- A plan's limits; a reference table. Values are in the metric's base unit (facts.md 1.2, units corrected).
create table billing_plan_quotas (
    plan text not null,
    metric_type text not null,
    limit_value bigint not null check (limit_value >= -1),
    period text not null check (period in ('hour', 'day', 'week', 'month', 'year')),
    mode text not null check (mode in ('hard', 'soft', 'overage')),
    updated_at timestamptz not null,
    primary key (plan, metric_type)
);

insert into billing_plan_quotas (plan, metric_type, limit_value, period, mode, updated_at)
select plan, metric_type, limit_value, 'month', mode, now()
from (values
    ('free', 'api_calls', 10000::bigint, 'hard'),
    ('free', 'storage', 1::bigint << 30, 'hard'),
    ('free', 'bandwidth', 10::bigint << 30, 'hard'),
    ('free', 'compute', 10::bigint * 3600, 'hard'),
    ('free', 'database', 1000::bigint, 'hard'),
    ('free', 'functions', 1000::bigint, 'hard'),
    ('starter', 'api_calls', 100000::bigint, 'overage'),
    ('starter', 'storage', 10::bigint << 30, 'overage'),
    ('starter', 'bandwidth', 100::bigint << 30, 'overage'),
    ('starter', 'compute', 100::bigint * 3600, 'overage'),
    ('starter', 'database', 10000::bigint, 'overage'),
    ('starter', 'functions', 10000::bigint, 'overage'),
    ('pro', 'api_calls', 1000000::bigint, 'overage'),
    ('pro', 'storage', 100::bigint << 30, 'overage'),
    ('pro', 'bandwidth', 1000::bigint << 30, 'overage'),
    ('pro', 'compute', 1000::bigint * 3600, 'overage'),
    ('pro', 'database', 100000::bigint, 'overage'),
    ('pro', 'functions', 100000::bigint, 'overage'),
    ('enterprise', 'api_calls', -1::bigint, 'overage'),
    ('enterprise', 'storage', -1::bigint, 'overage'),
    ('enterprise', 'bandwidth', -1::bigint, 'overage'),
    ('enterprise', 'compute', -1::bigint, 'overage'),
    ('enterprise', 'database', -1::bigint, 'overage'),
    ('enterprise', 'functions', -1::bigint, 'overage')
) as seed (plan, metric_type, limit_value, mode);
