-- Local to the coordinator: comparing the mirror with Stripe, page by page, and what was found (docs/decisions/0021).
create table billing_sync_runs (
    id bigint generated always as identity primary key,
    purpose text not null check (purpose in ('reconcile', 'sync', 'compare', 'auto')),
    livemode boolean not null,
    heal boolean not null,
    kinds text[] not null,
    created_from timestamptz,  -- only objects made since then
    created_to timestamptz,  -- and before then
    batch_size integer not null,
    state text not null default 'running' check (state in ('running', 'done', 'stopped')),
    kind_number integer not null default 1,  -- where it is: the kind that is read, from 1
    page_after text,  -- the last object of it that was read
    page_bound timestamptz,  -- and when that was made: what is newer was compared
    pages bigint not null default 0,
    checked bigint not null default 0,
    totals jsonb not null default '{}',  -- sums of money at Stripe, by kind and currency
    actor text not null,
    worker text not null,
    fence bigint not null default 1,
    lease_until timestamptz not null,
    started_at timestamptz not null,
    moved_at timestamptz not null,
    finished_at timestamptz,
    error text
);
create index billing_sync_runs_newest on billing_sync_runs (purpose, id);

create table billing_sync_differences (
    run_id bigint not null references billing_sync_runs,
    kind text not null,
    object_id text not null,
    cause text not null,
    detail text not null,
    action text not null check (action in ('import', 'update', 'mark deleted', 'none')),
    money boolean not null,
    changes jsonb not null,
    state text not null check (state in ('open', 'healed', 'refused')),
    error text,
    found_at timestamptz not null,
    healed_at timestamptz,
    primary key (run_id, kind, object_id)
);
create index billing_sync_differences_object on billing_sync_differences (object_id, run_id);

-- Whom the operator gave a customer to, or took one from; a user of ours is never written by Stripe.
create table billing_customer_links (
    id bigint generated always as identity primary key,
    customer_id text not null,
    user_id text not null,
    before_user_id text,
    livemode boolean not null,
    actor text not null,
    reason text,
    linked_at timestamptz not null
);
