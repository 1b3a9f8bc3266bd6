-- Statements of notifications.

-- name: add
-- What bears a name is told once each way; whoever adds it at the same time waits for the other's commit.
insert into billing_notifications (
    id, kind, channel, template, recipient, livemode, data, state, created_at, due_at, once
)
values (
    %(id)s, %(kind)s, %(channel)s, %(template)s, %(recipient)s, %(livemode)s, %(data)s, 'queued', %(created_at)s,
    %(created_at)s, %(once)s
)
on conflict (once, channel) where once is not null do nothing;

-- name: alone
-- Until the end of the transaction nobody else counts tries: two would take the same rest of the minute.
select pg_advisory_xact_lock(hashtextextended('billing mail rate', 0));

-- name: tried_since
select count(*) from billing_mail_events where what = 'attempt' and at > %(since)s;

-- name: claim
-- A try is written down before it is made.
with due as (
    select id from billing_notifications
    where
        state = 'queued' and channel = %(channel)s and due_at <= %(now)s
        and (lease_until is null or lease_until <= %(now)s)
    order by due_at
    limit %(limit)s
    for update skip locked
), claimed as (
    update billing_notifications one set lease_until = %(lease)s, token = token + 1, attempts = attempts + 1
    from due
    where one.id = due.id
    returning one.id, kind, channel, template, recipient, livemode, data, created_at, attempts, token
), noted as (
    insert into billing_mail_events (message, at, what)
    select id, %(now)s, 'attempt' from claimed where channel = 'mail'
)
select id, kind, channel, template, recipient, livemode, data, created_at, attempts, token from claimed;

-- name: finish
update billing_notifications set
    state = %(state)s, lease_until = null, due_at = %(due)s, last_error = %(error)s,
    sent_at = case when %(state)s = 'sent' then %(now)s::timestamptz end
where id = %(id)s and token = %(token)s and state = 'queued';

-- name: note
insert into billing_mail_events (message, at, what, answer) values (%(message)s, %(now)s, %(what)s, %(answer)s);

-- name: list
select id, kind, channel, recipient, state, attempts, created_at, due_at, sent_at, last_error, once
from billing_notifications
where (%(state)s::text is null or state = %(state)s) and (%(channel)s::text is null or channel = %(channel)s)
order by created_at desc, id
limit %(limit)s;

-- name: requeue
update billing_notifications set
    state = 'queued', due_at = %(now)s, attempts = 0, token = token + 1, lease_until = null
where id = %(id)s
returning channel;

-- name: mails
-- A type is a template, a kind, or what a kind begins with.
select
    id, kind, template, recipient, livemode, state, data, attempts, one.created_at, due_at, sent_at, last_error, once,
    refused.reason as suppressed
from billing_notifications one left join billing_mail_suppressions refused on refused.address = lower(recipient)
where
    channel = 'mail' and (%(state)s::text is null or state = %(state)s)
    and (%(recipient)s::text is null or lower(recipient) = lower(%(recipient)s))
    and (%(since)s::timestamptz is null or one.created_at >= %(since)s)
    and (%(type)s::text is null or %(type)s in (template, kind, split_part(kind, '.', 1)))
order by one.created_at desc, id
limit %(limit)s;

-- name: mail
select
    id, kind, template, recipient, livemode, state, data, attempts, one.created_at, due_at, sent_at, last_error, once,
    refused.reason as suppressed
from billing_notifications one left join billing_mail_suppressions refused on refused.address = lower(recipient)
where channel = 'mail' and id = %(id)s;

-- name: told
select
    id, kind, template, recipient, livemode, state, data, attempts, one.created_at, due_at, sent_at, last_error, once,
    refused.reason as suppressed
from billing_notifications one left join billing_mail_suppressions refused on refused.address = lower(recipient)
where channel = 'mail' and once = %(once)s;

-- name: standing
select once from billing_notifications where channel = 'mail' and once = any(%(names)s::text[]);

-- name: suppressed
select address from billing_mail_suppressions
where address = any(%(addresses)s::text[]) and reason <> 'unsubscribed';

-- name: happenings
select at, what, answer from billing_mail_events where message = %(id)s order by id;

-- name: undelivered
-- A mail that was taken came back. False where that was known.
update billing_notifications set state = 'bounced', last_error = %(answer)s, lease_until = null, token = token + 1
where id = %(id)s and channel = 'mail' and state <> 'bounced';

-- name: suppress
-- Whoever only unsubscribed may bounce later; the other way round nothing changes.
insert into billing_mail_suppressions as known (address, reason, detail, message, created_at)
values (lower(%(address)s), %(reason)s, %(detail)s, %(message)s, %(now)s)
on conflict (address) do update set
    reason = excluded.reason, detail = excluded.detail, message = excluded.message, created_at = excluded.created_at
where known.reason = 'unsubscribed' and excluded.reason <> 'unsubscribed';

-- name: suppression
select address, reason, detail, message, created_at from billing_mail_suppressions where address = lower(%(address)s);

-- name: suppressions
select address, reason, detail, message, created_at from billing_mail_suppressions
order by created_at desc, address
limit %(limit)s;

-- name: unsuppress
delete from billing_mail_suppressions where address = lower(%(address)s);

-- name: waiting
select count(*) from billing_notifications where channel = 'mail' and state = 'queued';

-- name: count_suppressed
select count(*) from billing_mail_suppressions;
