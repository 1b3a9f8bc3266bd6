-- Statements of revenue: what subscriptions are worth a month, and what was paid.

-- name: told
select event_id, event_created_at as at from billing_webhook_events where event_id = any(%(events)s::text[]);

-- name: add_due
insert into billing_mrr_due (subscription_id, snapshot, at, seen_at)
select snapshot ->> 'id', snapshot, to_timestamp(at), %(seen_at)s
from jsonb_to_recordset(%(rows)s) as given (snapshot jsonb, at bigint);

-- name: subscriptions_of
-- Those that are worth something.
select snapshot
from billing_subscriptions
where customer_id = any(%(customers)s::text[]) and status in ('active', 'past_due') and not deleted
order by object_id;

-- name: add_unseen
-- Subscriptions that were mirrored before anybody noted what they are worth.
with unseen as (
    insert into billing_mrr_due (subscription_id, snapshot, at, seen_at)
    select object_id, snapshot, %(now)s, %(now)s
    from billing_subscriptions
    where
        object_id > %(after)s and livemode = %(live)s and not deleted
        and not exists (select from billing_mrr where billing_mrr.subscription_id = billing_subscriptions.object_id)
        and not exists (select from billing_mrr_due where billing_mrr_due.subscription_id = billing_subscriptions.object_id)
    order by object_id
    limit %(limit)s
    returning subscription_id
)

select max(subscription_id) from unseen;

-- name: due
select
    due.id, due.subscription_id as subscription, due.snapshot, customer.snapshot -> 'discount' as general, due.at, due.seen_at
from billing_mrr_due due
left join billing_customers customer on customer.customer_id = due.snapshot ->> 'customer'
where due.id > %(after)s and (due.snapshot ->> 'livemode')::boolean = %(live)s
order by due.id
limit %(limit)s;

-- name: take_due
-- Notes of a subscription are worked out in their order, also where two do it at once.
delete from billing_mrr_due taken
where id = %(id)s and not exists (
    select from billing_mrr_due earlier where earlier.subscription_id = taken.subscription_id and earlier.id < taken.id
);

-- name: newest
select extract(epoch from at)::bigint as at, parts
from billing_mrr
where note = (select max(note) from billing_mrr where subscription_id = %(subscription)s)
order by at;

-- name: add
insert into billing_mrr (
    note, at, subscription_id, customer_id, livemode, currency, noted_at, seen_at, first, mrr_minor, parts, doubt
)
values (
    %(note)s, to_timestamp(%(at)s), %(subscription)s, %(customer)s, %(live)s, %(currency)s, to_timestamp(%(noted_at)s),
    %(seen_at)s, %(first)s, %(minor)s, %(parts)s, %(doubt)s
);

-- name: moved
-- Each customer is compared with itself at the beginning and at the end of the month.
with monthly as (
    select customer_id, currency, date_trunc('month', at, %(zone)s) as start, sum(change_minor) as change
    from billing_mrr_changes
    where
        livemode = %(live)s and at <= %(now)s and (%(customer)s::text is null or customer_id = %(customer)s)
        and (%(currency)s::text is null or currency = %(currency)s)
    group by customer_id, currency, start
),

standing as (
    select *, sum(change) over (partition by customer_id, currency order by start) as after from monthly
),

compared as (
    select
        *, after - change as before,
        coalesce(max(after) over (
            partition by customer_id, currency order by start rows between unbounded preceding and 1 preceding
        ), 0) > 0 as known
    from standing
)

select
    start, currency,
    coalesce(sum(change) filter (where before = 0 and not known), 0)::bigint as new_minor,
    coalesce(sum(change) filter (where before > 0 and change > 0), 0)::bigint as expansion_minor,
    coalesce(sum(change) filter (where after > 0 and change < 0), 0)::bigint as contraction_minor,
    coalesce(sum(change) filter (where after = 0 and change < 0), 0)::bigint as churned_minor,
    coalesce(sum(change) filter (where before = 0 and known), 0)::bigint as reactivated_minor
from compared
group by start, currency
order by start, currency;

-- name: taken
-- Prices with metered usage are few, and most invoices have none of them.
with metered as (
    select array['nself_metric'] || array(
        select object_id from billing_prices where snapshot -> 'recurring' ->> 'usage_type' = 'metered'
    ) as prices
),

paid as (
    select
        date_trunc('month', paid_at, %(zone)s) as start, currency, amount_paid_minor as paid_minor, 0 as refunds_minor,
        case
            when amounts_by_price ?| metered.prices
                then (select sum(value::bigint) from jsonb_each_text(amounts_by_price) where key = any(metered.prices))
            else 0
        end as usage_minor
    from billing_invoices
    cross join metered
    where
        livemode = %(live)s and status = 'paid' and not deleted
        and paid_at >= %(start)s and paid_at < %(end)s
        and (%(customer)s::text is null or customer_id = %(customer)s)
    union all
    select
        date_trunc('month', refund.created_at, %(zone)s), refund.snapshot ->> 'currency', 0,
        (refund.snapshot ->> 'amount')::bigint, 0
    from billing_refunds refund
    join billing_charges charge on charge.object_id = refund.snapshot ->> 'charge'
    where
        refund.livemode = %(live)s and refund.status = 'succeeded' and not refund.deleted
        and refund.created_at >= %(start)s and refund.created_at < %(end)s
        and (%(customer)s::text is null or charge.customer_id = %(customer)s)
        and exists (
            select
            from billing_invoices invoice
            cross join lateral jsonb_array_elements(invoice.snapshot #> '{payments,data}') part
            where
                invoice.customer_id = charge.customer_id
                and part #>> '{payment,payment_intent}' = charge.snapshot ->> 'payment_intent'
        )
)

select
    start, currency, sum(paid_minor)::bigint as paid_minor, sum(usage_minor)::bigint as usage_minor,
    sum(refunds_minor)::bigint as refunds_minor
from paid
where %(currency)s::text is null or currency = %(currency)s
group by start, currency
order by start, currency;

-- name: guessed
select distinct date_trunc('month', at, %(zone)s) as start, date_trunc('month', seen_at, %(zone)s) as "end"
from billing_mrr
where
    livemode = %(live)s and first and date_trunc('month', at, %(zone)s) < date_trunc('month', seen_at, %(zone)s)
    and (%(customer)s::text is null or customer_id = %(customer)s);

-- name: waiting
select count(distinct subscription_id)
from billing_mrr_due
where
    (snapshot ->> 'livemode')::boolean = %(live)s
    and (%(customer)s::text is null or snapshot ->> 'customer' = %(customer)s);

-- name: doubts
select doubtful.subscription_id || ': ' || newest.doubt
from (
    select distinct livemode, customer_id, subscription_id
    from billing_mrr
    where doubt is not null and livemode = %(live)s and (%(customer)s::text is null or customer_id = %(customer)s)
) doubtful
cross join lateral (
    select doubt, parts
    from billing_mrr_changes
    where
        livemode = doubtful.livemode and customer_id = doubtful.customer_id
        and subscription_id = doubtful.subscription_id and at <= %(now)s
    order by note desc, at desc
    limit 1
) newest
where newest.doubt is not null and newest.parts <> '[]'
order by doubtful.subscription_id
limit 20;

-- name: worths
select subscription, currency, since, mrr_minor, '' as exact, parts, doubt
from (
    select distinct on (subscription_id)
        subscription_id as subscription, currency, at as since, mrr_minor, parts, doubt
    from billing_mrr_changes
    where
        livemode = %(live)s and at <= %(now)s and customer_id = %(customer)s
        and (%(currency)s::text is null or currency = %(currency)s)
    order by subscription_id, note desc, at desc
) newest
where mrr_minor > 0
order by subscription;

-- name: changes
select at, subscription_id as subscription, currency, change_minor, mrr_minor, seen_at, first
from billing_mrr_changes
where
    livemode = %(live)s and at <= %(now)s and customer_id = %(customer)s
    and (%(currency)s::text is null or currency = %(currency)s)
    and change_minor <> 0
order by at, note;
