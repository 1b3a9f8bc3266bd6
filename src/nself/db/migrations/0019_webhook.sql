-- Local to the coordinator: how events came, how long they took, what was refused, how far lost ones were looked for
-- (docs/decisions/0020).
alter table billing_webhook_events
    add column source text not null default 'delivery' check (source in ('delivery', 'poll')),
    add column claimed_at timestamptz,  -- of the last attempt
    add column fetch_ms integer,  -- of the last attempt: until Stripe's answer was there
    add column took_ms integer;  -- and until all was stored
comment on column billing_webhook_events.deliveries is 'How often Stripe delivered it: 0 where it was only ever found in Stripe''s list.';
create index billing_webhook_events_object on billing_webhook_events (object_id, id);
create index billing_webhook_events_failed on billing_webhook_events (id) where status in ('failed', 'failed_permanent', 'parked');
create index billing_webhook_events_copies on billing_webhook_events (event_id) where status = 'duplicate';
create index billing_webhook_events_received on billing_webhook_events (received_at);

-- The newest deliveries that were not taken. Nothing of a body that nobody signed is kept but the id that it claims.
create table billing_webhook_refusals (
    id bigint generated always as identity primary key,
    code text not null,
    reason text not null,
    skew integer,  -- seconds that our clock is ahead of the signature's
    event_id text,
    times bigint not null,
    refused_at timestamptz not null
);

-- How far Stripe's list of events was read, in each mode. All times are Stripe's.
create table billing_webhook_polls (
    livemode boolean primary key,
    began_at timestamptz not null,  -- what is older is none of ours
    seen_at timestamptz not null,  -- everything up to here is known
    page_after text,  -- of a window that is being read, newest event first: the last one read
    page_newest timestamptz,  -- and its first one
    polled_at timestamptz,
    missed bigint not null default 0,
    missed_at timestamptz,
    check ((page_after is null) = (page_newest is null))
);
