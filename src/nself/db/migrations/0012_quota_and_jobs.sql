-- Distributed by user_id: what the decisions of quotas stand on (docs/decisions/0012).

-- A period may be that of the user's subscription. Both tables are small.
-- squawk-ignore ban-drop-constraint
alter table billing_quotas drop constraint billing_quotas_period_check;
-- squawk-ignore constraint-missing-not-valid
alter table billing_quotas add constraint billing_quotas_period_check
    check (period in ('hour', 'day', 'week', 'month', 'year', 'billing'));
-- squawk-ignore ban-drop-constraint
alter table billing_plan_quotas drop constraint billing_plan_quotas_period_check;
-- squawk-ignore constraint-missing-not-valid
alter table billing_plan_quotas add constraint billing_plan_quotas_period_check
    check (period in ('hour', 'day', 'week', 'month', 'year', 'billing'));

-- One limit of one user in one window, with all that a decision needs. Everything but exceeded_at and warned can be
-- built anew from usage, reservations, limits, resets, blocks and overrides; `stale` asks for that.
create table billing_quota_counters (
    user_id text not null,
    metric_type text not null,
    window_start timestamptz not null,
    window_end timestamptz not null,
    counted_from timestamptz not null,  -- the window's start, or the last reset in it
    aggregation text not null,
    used numeric not null,  -- kept by the fold of usage
    held numeric not null,
    expires_next timestamptz not null,  -- no hold expires before; infinity where there is none
    stale boolean not null,
    limit_value bigint not null,
    period text not null,
    mode text not null,
    source text not null,
    extra bigint not null,  -- on top of the limit, until extra_until
    extra_until timestamptz not null,
    blocked_until timestamptz not null,  -- long ago where nothing blocks
    block_reason text not null,
    exceeded_at timestamptz,
    warned integer not null,  -- highest threshold in percent that was told
    primary key (user_id, metric_type, window_start)
);

-- Units that were granted and are not used yet. The usage of a commit is dated at reserved_at, so that it counts in
-- the window that held it.
create table billing_quota_reservations (
    user_id text not null,
    reservation_id text not null,
    metric_type text not null,
    value bigint not null,
    amount bigint not null,  -- what it takes of the limit
    window_start timestamptz not null,
    reserved_at timestamptz not null,
    expires_at timestamptz not null,
    state text not null check (state in ('held', 'expired', 'committed', 'released')),
    settled_value bigint,
    settled_at timestamptz,
    primary key (user_id, reservation_id)
);
create index billing_quota_reservations_held on billing_quota_reservations (user_id, metric_type, expires_at) where state = 'held';

-- Watermarks: what was used before reset_at does not count against the limit any more. '*' is every metric.
create table billing_quota_resets (
    user_id text not null,
    metric_type text not null,
    reset_at timestamptz not null,
    actor text not null,
    reason text not null,
    primary key (user_id, metric_type, reset_at)
);

create table billing_quota_blocks (
    user_id text not null,
    metric_type text not null,
    reason text not null,
    actor text not null,
    blocked_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (user_id, metric_type)
);

-- What `unblock` grants above a limit, for a while.
create table billing_quota_overrides (
    user_id text not null,
    metric_type text not null,
    extra bigint not null check (extra >= 0),
    granted_at timestamptz not null,
    expires_at timestamptz not null,
    actor text not null,
    reason text not null,
    primary key (user_id, metric_type)
);

-- The fact that a threshold was passed: once for a user, metric and window.
create table billing_quota_notices (
    user_id text not null,
    metric_type text not null,
    window_start timestamptz not null,
    threshold integer not null,
    used numeric not null,
    limit_value bigint not null,
    noticed_at timestamptz not null,
    primary key (user_id, metric_type, window_start, threshold)
);

-- Leased work, local to the coordinator. One that is queued or running for each type; a lease that ran out may be taken
-- by anybody, whose higher token then shuts the former worker out.
create table billing_jobs (
    id bigint generated always as identity primary key,
    type text not null,
    state text not null check (state in ('queued', 'running', 'succeeded', 'failed', 'cleared')),
    due_at timestamptz not null,
    attempts integer not null default 0,
    token bigint not null default 0,
    worker text,
    started_at timestamptz,
    lease_until timestamptz,
    finished_at timestamptz,
    result text,
    last_error text
);
create unique index billing_jobs_one on billing_jobs (type) where state in ('queued', 'running');
