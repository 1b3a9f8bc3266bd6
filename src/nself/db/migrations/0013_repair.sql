-- Distributed by user_id: what operators decided about single events (docs/decisions/0013). No event is ever changed or erased.
create table billing_usage_adjustments (
    user_id text not null,
    idempotency_key text not null,
    revision integer not null check (revision > 0),
    kind text not null check (kind in ('void', 'duplicate', 'correct')),
    counts boolean not null,
    value bigint not null check (value >= 0),
    value_before bigint not null,  -- what the event counted with before; 0 where it did not
    metric_type text not null,
    created_at timestamptz not null,  -- the event's
    duplicate_of text,
    reason text,
    actor text not null,
    adjusted_at timestamptz not null,
    superseded_at timestamptz,
    primary key (user_id, idempotency_key, revision)
);
create unique index billing_usage_adjustments_standing on billing_usage_adjustments (user_id, idempotency_key)
    where superseded_at is null;

-- Events as they count: without those that were taken out, and with the corrected value. All figures come from here.
create view billing_usage_counted as
select
    event.user_id, event.metric_type, coalesce(adjustment.value, event.value) as value, event.created_at,
    event.idempotency_key, event.properties, event.source, event.recorded_at
from billing_usage event
left join billing_usage_adjustments adjustment
    on adjustment.user_id = event.user_id and adjustment.idempotency_key = event.idempotency_key
    and adjustment.superseded_at is null
where adjustment.counts is not false;
