-- squawk-ignore-file adding-not-nullable-field, adding-serial-primary-key-field, ban-drop-column, ban-drop-constraint, constraint-missing-not-valid
-- One row an invoiced metric and month: small enough to be locked for a moment.
-- A line says which period's overage it bills: an adjustment bills an earlier one. `rated` is null in lines older than this.
alter table billing_invoice_plan_lines
    add column line text,
    add column period_start timestamptz,
    add column period_end timestamptz,
    add column events bigint,
    add column price jsonb,
    add column rated jsonb,
    add column override_id bigint;

update billing_invoice_plan_lines line
set
    line = line.metric_type, period_start = plan.period_start, period_end = plan.period_end,
    price = jsonb_build_object(
        'model', 'flat', 'currency', plan.currency,
        'tiers', jsonb_build_array(jsonb_build_object('amount', line.rate::text, 'per', line.per))
    )
from billing_invoice_plans plan
where plan.operation = line.operation;

alter table billing_invoice_plan_lines
    alter column line set not null,
    alter column period_start set not null,
    alter column period_end set not null,
    alter column price set not null,
    drop constraint billing_invoice_plan_lines_pkey,
    drop constraint billing_invoice_plan_lines_amount_minor_check,
    drop column rate,
    drop column per,
    add primary key (operation, line),
    add check (amount_minor <> 0);

-- What an operator decided a user's overage of a period to be. The newest row of a metric and period counts; one without
-- a price takes the decision back.
create table billing_overage_updates (
    id bigint generated always as identity primary key,
    user_id text not null,
    metric_type text not null,
    period_start timestamptz not null,
    period_end timestamptz not null,
    livemode boolean not null,
    used numeric not null,
    limit_value bigint not null,
    price jsonb,
    amount_minor bigint not null,
    before_minor bigint not null,
    currency text not null,
    reason text,
    actor text not null,
    updated_at timestamptz not null
);
create index billing_overage_updates_newest
    on billing_overage_updates (user_id, livemode, metric_type, period_start, period_end, id);
