-- Local to the coordinator: what users and programs are told, by mail and by webhooks of our own (docs/decisions/0018).
-- Written in the transaction of what is told, sent afterwards by whoever holds the lease; a higher token shuts others out.
create table billing_notifications (
    id text primary key,
    kind text not null,
    channel text not null check (channel in ('mail', 'webhook')),
    recipient text not null,  -- an address; empty for a webhook, whose URL is a setting
    livemode boolean not null,
    data text not null,  -- JSON, the same at each try
    state text not null check (state in ('queued', 'sent', 'failed')),
    created_at timestamptz not null,
    due_at timestamptz not null,
    attempts integer not null default 0,
    token bigint not null default 0,
    lease_until timestamptz,
    sent_at timestamptz,
    last_error text
);
create index billing_notifications_due on billing_notifications (due_at) where state = 'queued';
create index billing_notifications_newest on billing_notifications (created_at);

-- Decisions change these rows again and again: room on the page keeps the change out of the index.
alter table billing_quota_counters set (fillfactor = 70);
