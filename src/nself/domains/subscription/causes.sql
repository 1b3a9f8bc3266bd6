-- Statements of what was asked for subscriptions, and of root causes.

-- name: add_request
-- What nobody looks at any more is forgotten.
with forgotten as (
    delete from billing_subscription_requests where made_at < %(made_at)s::timestamptz - interval '90 days'
)
insert into billing_subscription_requests (
    livemode, what, customer_id, subscription_id, price_id, asked, trial_end, behavior, zone, failure, error, made_at
)
values (
    %(livemode)s, %(what)s, %(customer)s, %(subscription)s, %(price)s, %(asked)s, %(trial_end)s, %(behavior)s, %(zone)s,
    %(failure)s, %(error)s, %(made_at)s
);

-- name: open_creations
-- Newest first: creations that failed and were not made up for; where the customer was not found, by another customer too.
select
    failed.customer_id as customer, failed.price_id as price, failed.failure, failed.error, failed.made_at, count(*) over () as count
from billing_subscription_requests failed
where failed.livemode = %(livemode)s and failed.what = 'create' and failed.failure = %(failure)s and failed.made_at >= %(since)s
    and not exists (
        select from billing_subscription_requests later
        where later.made_at > failed.made_at and later.livemode = failed.livemode and later.what = 'create' and later.failure is null
            and (later.customer_id = failed.customer_id or (failed.failure = 'customer' and later.price_id = failed.price_id))
    )
    and not exists (
        select from billing_subscriptions standing
        where standing.customer_id = failed.customer_id and standing.created_at > failed.made_at and not standing.deleted
            and standing.status in ('active', 'trialing')
    )
order by failed.made_at desc
limit 1;
