-- squawk-ignore-file ban-drop-constraint, constraint-missing-not-valid
-- The check is replaced by a wider one.
-- Local to the coordinator: mail by templates, what became of each message, and who is mailed no more (docs/decisions/0024).
alter table billing_notifications add column template text;
alter table billing_notifications drop constraint billing_notifications_state_check;
alter table billing_notifications add constraint billing_notifications_state_check
    check (state in ('queued', 'sent', 'failed', 'bounced', 'suppressed'));

-- Appended to, never changed. `attempt` is written before the mail server is asked: without another row behind it, nobody
-- knows what became of it.
create table billing_mail_events (
    id bigint generated always as identity primary key,
    message text not null references billing_notifications (id) on delete cascade,
    at timestamptz not null,
    what text not null check (
        what in ('attempt', 'sent', 'delayed', 'failed', 'bounced', 'suppressed', 'delivered', 'complained', 'unsubscribed',
            'resent'
        )
    ),
    answer text
);
create index billing_mail_events_message on billing_mail_events (message, id);
create index billing_mail_events_attempts on billing_mail_events (at) where what = 'attempt';

-- In lower case. What somebody unsubscribed from is reminders alone.
create table billing_mail_suppressions (
    address text primary key,
    reason text not null check (reason in ('bounced', 'complained', 'unsubscribed')),
    detail text,
    message text,
    created_at timestamptz not null
);
