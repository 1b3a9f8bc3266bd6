-- Statements of root causes of cancellations that did not come through.

-- name: unprocessed_cancellations
-- Newest first: Stripe told that a subscription ended, and nothing came of it yet.
select event.event_id as event, event.object_id as subscription, event.status, event.attempts, coalesce(event.error, '') as error, event.received_at as at
from billing_webhook_events event
join billing_subscriptions standing on standing.object_id = event.object_id
where event.type = 'customer.subscription.deleted' and event.livemode = %(livemode)s
    and (
        event.status in ('failed', 'failed_permanent', 'parked')
        or (event.status = 'received' and (event.error is not null or event.received_at < %(late)s))
    )
    and standing.status not in ('canceled', 'incomplete_expired') and not standing.deleted
order by event.id desc
limit %(limit)s;

-- name: lost_cancellations
-- Newest first: the event was processed, and the row says that it goes on. Stripe never revives what ended.
select event.event_id as event, event.object_id as subscription, standing.status, event.attempts, '' as error, event.processed_at as at
from billing_webhook_events event
join billing_subscriptions standing on standing.object_id = event.object_id
where event.received_at >= %(since)s and event.type = 'customer.subscription.deleted' and event.status = 'processed'
    and event.livemode = %(livemode)s and standing.status not in ('canceled', 'incomplete_expired') and not standing.deleted
order by event.id desc
limit %(limit)s;
