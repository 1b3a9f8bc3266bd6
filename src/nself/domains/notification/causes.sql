-- Statements that look for root causes.

-- name: mailed_since
select exists (
    select from billing_notifications where channel = 'mail' and created_at > %(since)s and livemode = %(livemode)s
);

-- name: put_off
-- Mails that were tried and are to be tried again, the one that waits longest first, with what the mail server said.
select id, last_error as answer
from billing_notifications
where channel = 'mail' and state = 'queued' and attempts > 0 and last_error is not null
order by due_at
limit %(limit)s;

-- name: overdue
select count(*) from billing_notifications where channel = 'mail' and state = 'queued' and due_at < %(before)s;

-- name: refused
-- Newest first: mails that their recipients did not get, where these got none since.
select refused.id, recipient, state, coalesce(last_error, '') as answer
from billing_notifications refused
where
    channel = 'mail' and state in ('failed', 'bounced', 'suppressed') and created_at > %(since)s and livemode = %(livemode)s
    and not exists (
        select from billing_notifications later
        where
            later.channel = 'mail' and later.state = 'sent' and later.recipient = refused.recipient
            and later.created_at > refused.created_at and later.created_at > %(since)s
    )
order by created_at desc
limit %(limit)s;
