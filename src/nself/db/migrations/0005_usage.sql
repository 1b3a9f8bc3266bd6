-- Distributed by user_id (docs/decisions/0003): it stands in every key and every statement.

-- Written first: a resend counts once whatever its timestamp. Outlives the raw events.
create table billing_usage_keys (
    user_id text not null,
    idempotency_key text not null,
    digest bytea not null,
    primary key (user_id, idempotency_key)
);

create table billing_usage (
    user_id text not null,
    metric_type text not null,
    value bigint not null check (value >= 0),
    created_at timestamptz not null,
    idempotency_key text not null,
    properties text,
    source text not null,
    recorded_at timestamptz not null,
    primary key (user_id, created_at, idempotency_key)
) partition by range (created_at);

-- Monthly partitions in UTC are made on demand, since imported history may begin anywhere.
create function billing.ensure_usage_month(first_day date) returns void
language plpgsql set search_path = billing, public as $$
begin
    perform pg_advisory_xact_lock(hashtext('billing_usage_months'));
    execute format(
        'create table if not exists billing.%I partition of billing.billing_usage for values from (%L) to (%L)',
        'billing_usage_' || to_char(first_day, 'YYYY_MM'),
        first_day::timestamp at time zone 'UTC',
        (first_day + interval '1 month') at time zone 'UTC'
    );
end $$;

-- What one commit added for a user, metric and hour; folded into the rollups later. Reads add both.
create table billing_usage_deltas (
    user_id text not null,
    id bigint generated always as identity,
    metric_type text not null,
    hour timestamptz not null,
    events bigint not null,
    total numeric not null,
    largest bigint not null,
    last_value bigint not null,
    last_at timestamptz not null,
    primary key (user_id, id)
);
create index billing_usage_deltas_read on billing_usage_deltas (user_id, metric_type, hour);

create table billing_usage_rollups (
    user_id text not null,
    metric_type text not null,
    hour timestamptz not null,
    events bigint not null,
    total numeric not null,
    largest bigint not null,
    last_value bigint not null,
    last_at timestamptz not null,
    primary key (user_id, metric_type, hour)
);

-- Local to the coordinator.

-- One row a commit: what came in and what became of it. The left side of accepted = counted + duplicate + rejected + pending.
create table billing_usage_intake (
    id bigint generated always as identity primary key,
    source text not null,
    received bigint not null,
    duplicate bigint not null,
    at timestamptz not null
);

create table billing_usage_rejected (
    id bigint generated always as identity primary key,
    event text not null,
    code text not null,
    message text not null,
    source text not null,
    rejected_at timestamptz not null
);

create table billing_usage_imports (
    source text primary key,
    digest bytea not null default '',  -- of all bytes before `position`: tells a file that grew from another one
    path text not null,
    format text not null,
    position bigint not null,
    lines bigint not null,
    received bigint not null default 0,
    counted bigint not null default 0,
    duplicate bigint not null default 0,
    rejected bigint not null default 0,
    started_at timestamptz not null,
    updated_at timestamptz not null
);

create table billing_usage_folds (
    shard integer primary key,
    folded_at timestamptz not null,
    deltas bigint not null,
    duration interval not null
);
