-- Stripe's events as they came. The guide marks hand-made copies with status 'duplicate', so those do not count.
create table billing_webhook_events (
    id bigint generated always as identity primary key,
    event_id text not null,
    type text not null,
    object_id text not null,
    object_kind text not null,
    livemode boolean not null,
    api_version text,
    event_created_at timestamptz not null,
    payload text not null,
    status text not null default 'received'
        check (status in ('received', 'processed', 'failed', 'failed_permanent', 'duplicate', 'ignored', 'parked')),
    deliveries integer not null default 1,
    attempts integer not null default 0,
    error text,
    received_at timestamptz not null,
    processed_at timestamptz
);
create unique index billing_webhook_events_once on billing_webhook_events (event_id) where status <> 'duplicate';
create index billing_webhook_events_open on billing_webhook_events (object_id, id) where status in ('received', 'failed');

-- One lease an object: its events are processed one after another, whatever the number of workers.
create table billing_webhook_objects (
    object_id text primary key,
    next_at timestamptz,
    lease_until timestamptz,
    fence bigint not null default 0
);
create index billing_webhook_objects_due on billing_webhook_objects (next_at) where next_at is not null;
