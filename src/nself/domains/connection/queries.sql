-- Statements of the connection with Stripe. Leases are measured by the database's own clock, one for all processes.

-- name: add_intents
-- A step that stands already is kept: whoever comes second finds it there.
insert into billing_intents (operation, step, kind, params, payment, idempotency_key, livemode, caused_by, first_sent_at)
select operation, step, kind, params, payment, key, %(livemode)s, %(cause)s, now() - %(known_for)s::interval
from unnest(
    %(operations)s::text[], %(steps)s::integer[], %(kinds)s::text[], %(params)s::jsonb[], %(payments)s::boolean[], %(keys)s::text[]
) as wish (operation, step, kind, params, payment, key)
on conflict do nothing;

-- name: adopt
-- What an earlier state of this database did and this one does not know: it counts as done.
insert into billing_intents (operation, step, kind, params, idempotency_key, livemode, state, object_id, settled_at)
values (%(operation)s, %(step)s, %(kind)s, %(params)s, %(key)s, %(livemode)s, 'done', %(object_id)s, now())
on conflict do nothing;

-- name: close_adopted
-- Its steps were all taken by then, or cannot be told apart from those that were.
update billing_intents set state = 'done', object_id = %(object_id)s, settled_at = now(), lease_until = null
where operation = %(operation)s and livemode = %(livemode)s and state = 'pending'
    and split_part(idempotency_key, '-', 1) = %(root)s;

-- name: doubt_unsent
-- Whether these were sent by now nobody knows here: they are taken as sent then, so that their outcome is asked for.
update billing_intents
set first_sent_at = coalesce(first_sent_at, %(since)s), attempts = greatest(attempts, 1), lease_until = null, next_at = now()
where state = 'pending';

-- name: claim
-- `%(operations)s` null means whatever is due. What was wished for in one mode is never done in the other.
-- What waits in the payment queue is claimed by its drain alone.
with due as (
    select id
    from billing_intents
    where
        state = 'pending'
        and livemode = %(livemode)s
        and (lease_until is null or lease_until < now())
        and (queued_at is not null) = %(queued)s
        and (next_at <= now() or %(queued)s)
        and (%(operations)s::text[] is null or operation = any(%(operations)s))
    order by next_at, id
    limit %(limit)s
    for update skip locked
)
update billing_intents intent set
    lease_until = now() + %(lease)s::interval,
    fence = fence + 1,
    attempts = attempts + 1,
    first_sent_at = coalesce(first_sent_at, now())
from due
where intent.id = due.id
returning
    intent.id, operation, step, kind, params, idempotency_key, livemode, attempts, fence,
    extract(epoch from now() - first_sent_at)::float8 as seconds_since_first_sent,
    extract(epoch from now() - created_at)::float8 as seconds_since_wished;

-- name: hasten
-- Somebody waits for these: try them now, whatever their backoff.
update billing_intents set next_at = now()
where operation = any(%(operations)s::text[]) and state = 'pending' and next_at > now();

-- name: enqueue
-- From now on these wait in the payment queue; what somebody calls Stripe for at this moment does not.
update billing_intents set queued_at = now()
where
    state = 'pending' and payment and queued_at is null and livemode = %(livemode)s
    and (lease_until is null or lease_until < now())
    and (%(kind)s::text is null or kind = %(kind)s)
    and (%(operations)s::text[] is null or operation = any(%(operations)s));

-- name: enqueue_failed
-- Those that the worker tried last since then, in vain for one of these reasons, each in its old place of the order.
update billing_intents set queued_at = now()
where
    state = 'pending' and payment and queued_at is null and livemode = %(livemode)s
    and (lease_until is null or lease_until < now())
    and last_failed_at >= %(since)s and error_code = any(%(codes)s::text[]);

-- name: queued
-- In the order in which they were wished for.
select
    id, operation, kind, params, queued_at, extract(epoch from now() - created_at)::float8 as age, attempts, error_code, error
from billing_intents
where state = 'pending' and queued_at is not null and livemode = %(livemode)s and id > %(after)s
order by id
limit %(limit)s;

-- name: unpaid
-- Payments that are not made yet: those in the queue, and those that the worker goes on with.
select
    count(*) filter (where queued_at is not null) as queued,
    count(*) filter (where queued_at is null) as with_worker,
    min(created_at) as oldest_at, extract(epoch from now() - min(created_at))::bigint as oldest_seconds
from billing_intents
where state = 'pending' and payment and livemode = %(livemode)s;

-- name: settle
update billing_intents
set state = 'done', object_id = %(object_id)s, settled_at = now(), lease_until = null, error = null, error_code = null
where id = %(id)s and fence = %(fence)s and state = 'pending';

-- name: fail
update billing_intents
set state = 'failed', error_code = %(code)s, error = %(error)s, failure = %(failure)s, settled_at = now(), lease_until = null,
    last_failed_at = now()
where id = %(id)s and fence = %(fence)s and state = 'pending';

-- name: postpone
update billing_intents
set
    next_at = now() + %(wait)s::interval, lease_until = null, error_code = %(code)s, error = %(error)s,
    last_failed_at = case when %(code)s::text is null then last_failed_at else now() end,
    idempotency_key = coalesce(%(new_key)s::text, idempotency_key),
    first_sent_at = case when %(new_key)s::text is null then first_sent_at end
where id = %(id)s and fence = %(fence)s and state = 'pending';

-- name: wished
-- The newest: whoever was kept from adding one was so by this, even if it has failed since.
select params, state, failure from billing_intents
where operation = %(operation)s and step = %(step)s and livemode = %(livemode)s
order by id desc
limit 1;

-- name: made
select object_id from billing_intents where operation = %(operation)s and step = %(step)s and state = 'done';

-- name: asked
-- Under this key or, in a restored database, an earlier one of the same wish.
select params from billing_intents where idempotency_key in (%(key)s, %(root)s);

-- name: failed_wishes
-- The newest intent of each operation, where it failed: its outcome is known, so it may be wished for again.
select newest.operation, newest.kind, newest.params, newest.step, newest.idempotency_key
from (
    select distinct on (operation) operation, kind, params, step, state, idempotency_key
    from billing_intents
    where operation = any(%(operations)s::text[])
    order by operation, id desc
) newest
where newest.state = 'failed' and newest.kind = any(%(kinds)s::text[]);

-- name: operation_states
-- `held`: somebody calls Stripe for it right now, or was killed while doing so.
select distinct on (operation)
    id, operation, kind, case when state = 'pending' and queued_at is not null then 'queued' else state end as state, attempts, error_code, error, object_id, failure,
    state = 'pending' and error is null and coalesce(lease_until > now(), false) as held
from billing_intents
where operation = any(%(operations)s::text[])
order by operation, id desc;

-- name: list_intents
select id, operation, kind, state, attempts, next_at, error_code, error
from billing_intents
where state = coalesce(%(state)s::text, state) and state <> 'done'
order by id desc
limit %(limit)s;

-- name: standing
select
    count(*) filter (where state = 'pending') as pending,
    count(*) filter (where state = 'failed') as failed,
    min(created_at) filter (where state = 'pending') as oldest_pending_at
from billing_intents
where livemode = %(livemode)s and state <> 'done';

-- name: granted
-- By the server's clock, as they were granted.
select budget.second, budget.granted, now.second - budget.second as age
from billing_call_budget budget, (select floor(extract(epoch from clock_timestamp()))::bigint as second) now
where budget.livemode = %(livemode)s and budget.second > now.second - %(back)s
order by budget.second;

-- name: lease_calls
-- Grants what is left of this second's budget, over all processes; the row lock makes it exact. Forgets the past.
with forgotten as (
    delete from billing_call_budget
    where livemode = %(livemode)s and second < floor(extract(epoch from clock_timestamp()))::bigint - 3600
)
insert into billing_call_budget as budget (livemode, second, granted, last_grant)
values (
    %(livemode)s, floor(extract(epoch from clock_timestamp()))::bigint,
    least(%(want)s::integer, %(limit)s::integer), least(%(want)s::integer, %(limit)s::integer)
)
on conflict (livemode, second) do update set
    last_grant = greatest(0, least(%(want)s::integer, %(limit)s::integer - budget.granted)),
    granted = budget.granted + greatest(0, least(%(want)s::integer, %(limit)s::integer - budget.granted))
returning last_grant;

-- name: cached
select value from billing_cache where key = %(key)s and expires_at > %(now)s;

-- name: cache
-- In the order of the keys: two that keep the same list at once must not wait for each other in a circle.
insert into billing_cache (key, value, expires_at)
select key, value, %(expires_at)s from unnest(%(keys)s::text[], %(values)s::text[]) as given (key, value)
order by key
on conflict (key) do update set value = excluded.value, expires_at = excluded.expires_at;

-- name: uncache
delete from billing_cache where key = %(key)s;

-- name: cache_keys
select key from billing_cache order by key;

-- name: uncache_all
delete from billing_cache where key = any(%(keys)s::text[]);

-- name: uncache_expired
delete from billing_cache where expires_at <= %(now)s;
