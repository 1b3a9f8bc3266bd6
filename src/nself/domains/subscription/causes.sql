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

-- name: trial_asked
-- What was last asked of a subscription's trial; `trial_end` is null where none was to be there.
select asked, trial_end as wanted, zone, made_at as at from billing_subscription_requests
where subscription_id = %(subscription)s and failure is null and asked in ('days', 'price', 'end', 'instant', 'none', 'now')
order by made_at desc
limit 1;

-- name: wanted_trials
-- Of subscriptions that run: what was last asked of trials that are not over, and what Stripe has.
select
    request.subscription_id as subscription, request.customer_id as customer, request.asked, request.trial_end as wanted, request.zone,
    request.made_at as at, to_timestamp((standing.snapshot ->> 'trial_end')::bigint) as has
from billing_subscription_requests request
join billing_subscriptions standing on standing.object_id = request.subscription_id
where request.trial_end > %(now)s and request.livemode = %(livemode)s and request.failure is null
    and standing.status in ('active', 'trialing', 'past_due') and not standing.deleted
    and not exists (
        select from billing_subscription_requests later
        where later.subscription_id = request.subscription_id and later.made_at > request.made_at and later.failure is null
            and later.asked in ('days', 'price', 'end', 'instant', 'none', 'now')
    )
order by request.made_at desc
limit %(limit)s;

-- name: young
-- Newest first: subscriptions with and without a trial, and whether nobody asked for how it is.
select
    standing.object_id as subscription, standing.customer_id as customer, standing.snapshot #>> '{items,data,0,price,id}' as price,
    standing.created_at, to_timestamp((standing.snapshot ->> 'trial_start')::bigint) as trial_start,
    to_timestamp((standing.snapshot ->> 'trial_end')::bigint) as trial_end, standing.status,
    coalesce(owner.trial_used, false) as trial_used,
    (
        select request.asked from billing_subscription_requests request
        where request.subscription_id = standing.object_id and request.failure is null
            and request.asked in ('days', 'price', 'end', 'instant', 'none', 'now', 'used')
        order by request.made_at desc
        limit 1
    ) as asked
from (
    select * from billing_subscriptions
    where livemode = %(livemode)s and not deleted and created_at >= %(since)s and status in ('active', 'trialing', 'past_due', 'incomplete')
    order by created_at desc
    limit %(limit)s
) standing
left join billing_customers owner on owner.customer_id = standing.customer_id
order by standing.created_at desc;

-- name: canceled_twice
-- Whoever asks a second time did not get what was meant.
select standing.object_id as subscription, standing.customer_id as customer, count(*) as count,
    to_timestamp((standing.snapshot ->> 'cancel_at')::bigint) as ends_at
from billing_subscription_requests request
join billing_subscriptions standing on standing.object_id = request.subscription_id
where request.what = 'cancel' and request.made_at >= %(since)s and request.livemode = %(livemode)s
    and standing.status in ('active', 'trialing', 'past_due') and not standing.deleted
    and (standing.snapshot -> 'cancel_at_period_end')::boolean
    and request.made_at >= to_timestamp((standing.snapshot ->> 'canceled_at')::bigint) - interval '5 minutes'
group by standing.object_id, standing.customer_id, standing.snapshot
having count(*) > 1
order by max(request.made_at) desc
limit %(limit)s;

-- name: changed_by
-- The newest change of a price or quantity that was not prorated as the guide has it.
select subscription_id as subscription, coalesce(price_id, '') as price, behavior, made_at as at from billing_subscription_requests
where made_at >= %(since)s and what = 'update' and price_id is not null and behavior = %(behavior)s and livemode = %(livemode)s
    and failure is null
order by made_at desc
limit 1;

-- name: late_trials
-- Subscriptions whose trial began after they did; the newest trial first.
select snapshot from billing_subscriptions
where status in ('active', 'trialing', 'past_due') and livemode = %(livemode)s and not deleted
    and (snapshot ->> 'trial_start')::bigint > extract(epoch from %(since)s::timestamptz)
    and (snapshot ->> 'trial_start')::bigint > (snapshot ->> 'start_date')::bigint
order by (snapshot ->> 'trial_start')::bigint desc
limit %(limit)s;

-- name: withdrawn
-- Subscriptions on a price to which they were changed while it was new, and which is no longer sold; under its name another amount is.
select distinct on (request.made_at, standing.object_id)
    standing.object_id as subscription, request.made_at as at, wrong.object_id as price, wrong.snapshot ->> 'unit_amount_decimal' as asks,
    sold.object_id as sold, sold.snapshot ->> 'unit_amount_decimal' as right, wrong.snapshot ->> 'currency' as currency,
    greatest(extract(epoch from request.made_at)::bigint, (item ->> 'current_period_start')::bigint) as since
from billing_subscription_requests request
join billing_subscriptions standing on standing.object_id = request.subscription_id
cross join lateral jsonb_array_elements(standing.snapshot #> '{items,data}') each (item)
join billing_prices wrong on wrong.object_id = request.price_id and wrong.object_id = item #>> '{price,id}'
join billing_prices sold on
    (sold.snapshot -> 'product', sold.snapshot -> 'currency', sold.snapshot -> 'recurring')
    = (wrong.snapshot -> 'product', wrong.snapshot -> 'currency', wrong.snapshot -> 'recurring')
    and (sold.snapshot -> 'nickname', sold.snapshot #> '{metadata,plan}')
    is not distinct from (wrong.snapshot -> 'nickname', wrong.snapshot #> '{metadata,plan}')
    and sold.snapshot ->> 'unit_amount_decimal' <> wrong.snapshot ->> 'unit_amount_decimal'
where request.what = 'update' and request.failure is null and request.made_at >= %(since)s and request.livemode = %(livemode)s
    and standing.status in ('active', 'trialing', 'past_due') and not standing.deleted
    and not (wrong.snapshot -> 'active')::boolean and request.made_at < wrong.created_at + %(new)s::interval
    and (sold.snapshot -> 'active')::boolean and not sold.deleted and sold.livemode = %(livemode)s
order by request.made_at desc, standing.object_id, sold.created_at desc
limit %(limit)s;
