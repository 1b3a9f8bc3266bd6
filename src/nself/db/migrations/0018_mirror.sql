-- squawk-ignore-file adding-field-with-default, ban-drop-column, require-concurrent-index-deletion
-- A row a customer and invoice: rewritten in a moment.
-- Local to the coordinator: Stripe's objects, mirrored whole. What is looked for is generated from the snapshot, so that it
-- cannot say anything else (docs/decisions/0019).
alter table billing_customers
    drop column email, drop column name, drop column currency, drop column balance_minor, drop column default_payment_method,
    add column email text generated always as (snapshot ->> 'email') stored,
    add column name text generated always as (snapshot ->> 'name') stored,
    add column currency text generated always as (snapshot ->> 'currency') stored,
    add column balance_minor bigint not null generated always as (coalesce((snapshot ->> 'balance')::bigint, 0)) stored,
    add column default_payment_method text
        generated always as (snapshot -> 'invoice_settings' ->> 'default_payment_method') stored,
    add column source text not null default 'earlier version', add column api_version text,
    add column digest text not null default '';

drop index billing_invoices_customer;
alter table billing_invoices
    drop column customer_id, drop column number, drop column status, drop column currency, drop column total_minor,
    drop column amount_due_minor, drop column amount_paid_minor,
    add column customer_id text generated always as (snapshot ->> 'customer') stored,
    add column number text generated always as (snapshot ->> 'number') stored,
    add column status text generated always as (snapshot ->> 'status') stored,
    add column currency text generated always as (snapshot ->> 'currency') stored,
    add column total_minor bigint not null generated always as (coalesce((snapshot ->> 'total')::bigint, 0)) stored,
    add column amount_due_minor bigint not null generated always as (coalesce((snapshot ->> 'amount_due')::bigint, 0)) stored,
    add column amount_paid_minor bigint not null generated always as (coalesce((snapshot ->> 'amount_paid')::bigint, 0)) stored,
    add column source text not null default 'earlier version', add column api_version text,
    add column digest text not null default '';
create index billing_invoices_customer on billing_invoices (customer_id, created_at);

-- `source` is what the row was last built from, `digest` the md5 of the snapshot as we wrote it: another one was changed by hand.
create table billing_objects (
    kind text not null,
    object_id text not null,
    livemode boolean not null,
    deleted boolean not null default false,
    customer_id text generated always as (snapshot ->> 'customer') stored,
    status text generated always as (snapshot ->> 'status') stored,
    snapshot jsonb not null,
    snapshot_number bigint not null,
    source text not null,
    api_version text,
    digest text not null,
    created_at timestamptz not null,
    synced_at timestamptz not null,
    primary key (kind, object_id)
) partition by list (kind);
create table billing_products partition of billing_objects for values in ('product');
create table billing_prices partition of billing_objects for values in ('price');
create table billing_tax_rates partition of billing_objects for values in ('tax_rate');
create table billing_payment_methods partition of billing_objects for values in ('payment_method');
create table billing_subscriptions partition of billing_objects for values in ('subscription');
create table billing_payments partition of billing_objects for values in ('payment_intent');
create table billing_charges partition of billing_objects for values in ('charge');
create table billing_refunds partition of billing_objects for values in ('refund');
create table billing_disputes partition of billing_objects for values in ('dispute');
create table billing_credit_notes partition of billing_objects for values in ('credit_note');
create index billing_objects_customer on billing_objects (customer_id, created_at);

create view billing_mirror as
select
    'customer' as kind, customer_id as object_id, livemode, deleted, customer_id, null as status, snapshot, snapshot_number, source,
    api_version, digest, created_at, synced_at
from billing_customers
union all
select
    'invoice', invoice_id, livemode, deleted, customer_id, status, snapshot, snapshot_number, source, api_version, digest,
    created_at, synced_at
from billing_invoices
union all
select
    kind, object_id, livemode, deleted, customer_id, status, snapshot, snapshot_number, source, api_version, digest, created_at,
    synced_at
from billing_objects;

-- What each event, intent, sync or import changed, field by field; written with the change.
create table billing_object_changes (
    id bigint generated always as identity primary key,
    kind text not null,
    object_id text not null,
    livemode boolean not null,
    what text not null check (what in ('created', 'updated', 'deleted')),
    source text not null,
    cause text,
    snapshot_number bigint not null,
    changes jsonb not null,
    changed_at timestamptz not null
);
create index billing_object_changes_object on billing_object_changes (object_id, id);
