-- What is kept of an event's properties for counting distinct values and for grouping, as its metric's version asked
-- when the event came; null where that asked for nothing.
alter table billing_usage add column dimensions jsonb;

create or replace view billing_usage_counted as
select
    event.user_id, event.metric_type, coalesce(adjustment.value, event.value) as value, event.created_at,
    event.idempotency_key, event.properties, event.source, event.recorded_at, event.dimensions
from billing_usage event
left join billing_usage_adjustments adjustment
    on adjustment.user_id = event.user_id and adjustment.idempotency_key = event.idempotency_key
    and adjustment.superseded_at is null
where adjustment.counts is not false;

-- A reference table: the formula by which a billing period was invoiced. It stays whatever usage-metrics.yml says later.
create table billing_metric_periods (
    period_start timestamptz not null,
    metric_type text not null,
    formula text not null,
    pinned_at timestamptz not null,
    primary key (period_start, metric_type)
);

alter table billing_usage_folds add column workers integer not null default 1;
