-- Statements of notices.

-- name: last_invoice
-- The newest one that a template is about: failing, due or paid.
select invoice_id as id, snapshot from billing_invoices
where
    customer_id = %(customer)s and not deleted and case %(template)s::text
        when 'payment_failed' then status in ('open', 'uncollectible') and (snapshot ->> 'attempt_count')::bigint > 0
        when 'invoice' then status in ('open', 'paid', 'uncollectible')
        when 'receipt' then status = 'paid'
    end
order by created_at desc, invoice_id
limit 1;

-- name: expiring_cards
-- Those that a living subscription is charged to: its own method, else its customer's.
select distinct on (card.object_id)
    card.object_id as id, card.customer_id as customer, subscription.object_id as subscription,
    coalesce(card.snapshot #>> '{card,brand}', 'payment') as brand, coalesce(card.snapshot #>> '{card,last4}', '') as last4,
    (card.snapshot #>> '{card,exp_month}')::integer as exp_month, (card.snapshot #>> '{card,exp_year}')::integer as exp_year
from billing_payment_methods card
join billing_customers customer on customer.customer_id = card.customer_id
join billing_subscriptions subscription
    on
        subscription.customer_id = card.customer_id and not subscription.deleted
        and subscription.status in ('trialing', 'active', 'past_due')
where
    card.livemode = %(livemode)s and not card.deleted and card.object_id > %(after)s
    and card.object_id = coalesce(subscription.snapshot ->> 'default_payment_method', customer.default_payment_method)
    and (
        ((card.snapshot #>> '{card,exp_year}')::integer, (card.snapshot #>> '{card,exp_month}')::integer)
        in ((%(year)s, %(month)s), (%(next_year)s, %(next_month)s))
    )
order by card.object_id
limit %(limit)s;

-- name: active_customers
select customer_id from billing_customers customer
where
    livemode = %(livemode)s and not deleted and customer_id > %(after)s
    and exists (
        select from billing_subscriptions subscription
        where subscription.customer_id = customer.customer_id and not subscription.deleted
            and subscription.status in ('trialing', 'active', 'past_due', 'paused')
    )
order by customer_id
limit %(limit)s;
