-- Statements that show root causes of chapter 6.

-- name: odd
-- Events whose effect is stored without the mark, or was stored twice by two who had both begun before the first was done.
with recent as (
    select event_id, object_id, processed_at, claimed_at
    from billing_webhook_events
    where received_at >= %(since)s and status <> 'duplicate'
    order by received_at desc
    limit 1000
)
select recent.event_id as event, recent.object_id as object, recent.processed_at is null as unmarked
from
    recent,
    lateral (
        select count(*) as times, min(changed_at) as first_at
        from (
            select source, changed_at from billing_object_changes change
            where change.object_id = recent.object_id
            order by change.id desc
            limit 50
        ) change
        where recent.event_id = any(string_to_array(source, ' '))
    ) effect
where times > 0 and processed_at is null or times > 1 and claimed_at < first_at
order by event;

-- name: worked
-- Newest first.
select
    event_id as event, type, object_id as object, received_at, attempts, 0 as waited_ms, fetch_ms as stripe_ms,
    took_ms - fetch_ms as stored_ms, took_ms as total_ms, coalesce(error, status) as cause
from billing_webhook_events
where received_at >= %(since)s and took_ms is not null and status in ('processed', 'failed', 'failed_permanent')
order by received_at desc, id desc
limit %(limit)s;

-- name: interfered
-- Events that were tried again and processed after a younger one of their object, which is stored as they left it.
with retried as (
    select id, event_id, object_id, object_kind, event_created_at, processed_at, attempts
    from billing_webhook_events
    where
        received_at >= %(since)s and attempts > 1 and status = 'processed'
        and (%(object)s::text is null or object_id = %(object)s)
    order by received_at desc
    limit 1000
)
select retried.event_id as event, retried.object_id as object, retried.attempts, younger.event_id as younger
from
    retried
join billing_mirror mirror
    on mirror.kind = retried.object_kind and mirror.object_id = retried.object_id
        and retried.event_id = any(string_to_array(mirror.source, ' ')),
lateral (
    select event_id
    from billing_webhook_events other
    where
        other.object_id = retried.object_id and other.status = 'processed' and other.event_created_at > retried.event_created_at
        and other.processed_at < retried.processed_at
    order by other.id desc
    limit 1
) younger
order by event;
