-- Statements of notifications.

-- name: add
-- What bears a name is told once each way; whoever adds it at the same time waits for the other's commit.
insert into billing_notifications (id, kind, channel, recipient, livemode, data, state, created_at, due_at, once)
values (
    %(id)s, %(kind)s, %(channel)s, %(recipient)s, %(livemode)s, %(data)s, 'queued', %(created_at)s, %(created_at)s, %(once)s
)
on conflict (once, channel) where once is not null do nothing;

-- name: claim
with due as (
    select id from billing_notifications
    where state = 'queued' and due_at <= %(now)s and (lease_until is null or lease_until <= %(now)s)
    order by due_at
    limit %(limit)s
    for update skip locked
)
update billing_notifications one set lease_until = %(lease)s, token = token + 1, attempts = attempts + 1
from due
where one.id = due.id
returning one.id, kind, channel, recipient, livemode, data, created_at, attempts, token;

-- name: finish
update billing_notifications set
    state = %(state)s, lease_until = null, due_at = %(due)s, last_error = %(error)s,
    sent_at = case when %(state)s = 'sent' then %(now)s::timestamptz end
where id = %(id)s and token = %(token)s and state = 'queued';

-- name: list
select id, kind, channel, recipient, state, attempts, created_at, due_at, sent_at, last_error, once
from billing_notifications
where (%(state)s::text is null or state = %(state)s) and (%(channel)s::text is null or channel = %(channel)s)
order by created_at desc, id
limit %(limit)s;

-- name: requeue
update billing_notifications set
    state = 'queued', due_at = %(now)s, attempts = 0, token = token + 1, lease_until = null
where id = %(id)s;
