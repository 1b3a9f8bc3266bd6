-- Stripe's customers, mirrored. user_id is ours; Stripe never overwrites it.
create table billing_customers (
    customer_id text primary key,
    user_id text,
    email text,
    name text,
    livemode boolean not null,
    deleted boolean not null default false,
    currency text,
    balance_minor bigint not null default 0,
    default_payment_method text,
    snapshot jsonb not null,
    snapshot_number bigint not null,
    created_at timestamptz not null,
    synced_at timestamptz not null
);
create unique index billing_customers_user on billing_customers (user_id, livemode) where not deleted;
