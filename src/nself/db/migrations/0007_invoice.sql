-- Stripe's invoices, mirrored.
create table billing_invoices (
    invoice_id text primary key,
    customer_id text not null,
    number text,
    status text not null,
    currency text not null,
    total_minor bigint not null,
    amount_due_minor bigint not null,
    amount_paid_minor bigint not null,
    livemode boolean not null,
    deleted boolean not null default false,
    snapshot jsonb not null,
    snapshot_number bigint not null,
    created_at timestamptz not null,
    synced_at timestamptz not null
);
create index billing_invoices_customer on billing_invoices (customer_id, created_at);

-- What was decided to bill for a user and period. Usage that arrives later gets the next revision, for the difference alone.
create table billing_invoice_plans (
    user_id text not null,
    period_start timestamptz not null,
    period_end timestamptz not null,
    revision integer not null check (revision > 0),
    operation text not null unique,
    customer_id text not null,
    currency text not null,
    total_minor bigint not null,
    livemode boolean not null,
    invoice_id text unique,
    planned_at timestamptz not null,
    primary key (user_id, period_start, period_end, livemode, revision)
);

create table billing_invoice_plan_lines (
    operation text not null references billing_invoice_plans (operation),
    metric_type text not null,
    used numeric not null,
    limit_value bigint not null,
    overage numeric not null,
    billed_before_minor bigint not null,
    rate numeric not null,
    per bigint not null check (per > 0),
    amount_minor bigint not null check (amount_minor > 0),
    description text not null,
    primary key (operation, metric_type)
);
