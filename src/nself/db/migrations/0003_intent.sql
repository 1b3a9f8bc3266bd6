-- Wishes to call Stripe. The steps of an operation follow each other: the next is written with the outcome of the last.
create table billing_intents (
    id bigint generated always as identity primary key,
    operation text not null,
    step integer not null,
    kind text not null,
    params jsonb not null,
    idempotency_key text not null unique,
    livemode boolean not null,
    state text not null default 'pending' check (state in ('pending', 'done', 'failed')),
    object_id text,
    attempts integer not null default 0,
    next_at timestamptz not null default now(),
    lease_until timestamptz,
    fence bigint not null default 0,
    first_sent_at timestamptz,
    error_code text,
    error text,
    created_at timestamptz not null default now(),
    settled_at timestamptz
);
-- A step that is open or done is never wished for again; one that failed may be.
create unique index billing_intents_once on billing_intents (operation, livemode, step) where state <> 'failed';
create index billing_intents_due on billing_intents (next_at) where state = 'pending';
create index billing_intents_operation on billing_intents (operation, id);

-- Calls to Stripe granted in each second, over all processes.
create table billing_call_budget (
    livemode boolean not null,
    second bigint not null,
    granted integer not null,
    last_grant integer not null,
    primary key (livemode, second)
);
