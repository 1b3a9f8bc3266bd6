-- Statements of audits: each finds customers, with the evidence in words.

-- name: disputed
select
    customer.customer_id as customer, user_id as user, max(dispute.created_at) as seen_at,
    string_agg(dispute.object_id || ' ' || dispute.status, ', ' order by dispute.created_at) as detail
from billing_disputes dispute
join billing_charges charge on charge.object_id = dispute.snapshot ->> 'charge'
join billing_customers customer on customer.customer_id = charge.customer_id
where dispute.livemode = %(livemode)s and dispute.created_at >= %(since)s
group by customer.customer_id
order by seen_at desc
limit %(limit)s;

-- name: tried_cards
-- At least three cards that failed within one hour: stolen numbers are tried like that.
select customer.customer_id as customer, user_id as user, max(tried.last_at) as seen_at,
    max(tried.cards) || ' cards from ' || to_char(min(tried.first_at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') as detail
from (
    select
        charge.customer_id, min(later.created_at) as first_at, max(later.created_at) as last_at,
        count(distinct later.snapshot #>> '{payment_method_details,card,fingerprint}') as cards
    from billing_charges charge
    join billing_charges later
        on later.customer_id = charge.customer_id and later.status = 'failed'
        and later.created_at >= charge.created_at and later.created_at < charge.created_at + interval '1 hour'
    where charge.livemode = %(livemode)s and charge.status = 'failed' and charge.created_at >= %(since)s
    group by charge.customer_id, charge.object_id
    having count(distinct later.snapshot #>> '{payment_method_details,card,fingerprint}') >= 3
) tried
join billing_customers customer using (customer_id)
group by customer.customer_id
order by seen_at desc
limit %(limit)s;

-- name: shared_card
with card as (
    select distinct method.customer_id, user_id, snapshot #>> '{card,fingerprint}' as fingerprint, snapshot #>> '{card,last4}' as last4
    from billing_payment_methods method
    join (select customer_id, user_id from billing_customers where not deleted) owner using (customer_id)
    where method.livemode = %(livemode)s and not method.deleted
)
select
    card.customer_id as customer, card.user_id as user, null::timestamptz as seen_at,
    'card ' || card.last4 || ' of ' || string_agg(distinct other.customer_id, ', ') as detail
from card
join card other on other.fingerprint = card.fingerprint and other.customer_id <> card.customer_id
group by card.customer_id, card.user_id, card.fingerprint, card.last4
order by card.fingerprint, card.customer_id
limit %(limit)s;

-- name: foreign_card
select
    customer.customer_id as customer, user_id as user, max(method.created_at) as seen_at,
    string_agg(
        distinct 'card of ' || (method.snapshot #>> '{card,country}') || ', address in ' || (customer.snapshot #>> '{address,country}'), ', '
    ) as detail
from billing_payment_methods method
join billing_customers customer on customer.customer_id = method.customer_id and not customer.deleted
where
    method.livemode = %(livemode)s and not method.deleted and method.created_at >= %(since)s
    and method.snapshot #>> '{card,country}' <> customer.snapshot #>> '{address,country}'
group by customer.customer_id
order by seen_at desc
limit %(limit)s;

-- name: same_email
select customer_id as customer, user_id as user, created_at as seen_at, email || ' ' || twins || ' times' as detail
from (
    select *, count(*) over (partition by lower(email)) as twins from billing_customers
    where livemode = %(livemode)s and not deleted and email <> ''
) same
where twins > 1
order by lower(email), created_at
limit %(limit)s;

-- name: no_user
select customer_id as customer, user_id as user, created_at as seen_at, coalesce(email, '') as detail
from billing_customers customer
where
    livemode = %(livemode)s and not deleted and user_id is null
    and exists (
        select from billing_invoices invoice
        where invoice.customer_id = customer.customer_id and invoice.status = 'paid' and (invoice.snapshot ->> 'amount_paid')::bigint > 0
            and invoice.created_at >= %(since)s
    )
order by created_at desc
limit %(limit)s;

-- name: no_email
select customer.customer_id as customer, user_id as user, max(subscription.created_at) as seen_at, '' as detail
from billing_customers customer join billing_subscriptions subscription using (customer_id)
where
    customer.livemode = %(livemode)s and not customer.deleted and coalesce(customer.email, '') = ''
    and subscription.status in ('active', 'trialing', 'past_due') and not subscription.deleted
group by customer.customer_id
order by seen_at desc
limit %(limit)s;

-- name: no_card
select
    customer.customer_id as customer, user_id as user, max(subscription.created_at) as seen_at,
    string_agg(subscription.object_id || ' ' || subscription.status, ', ') as detail
from billing_customers customer join billing_subscriptions subscription using (customer_id)
where
    customer.livemode = %(livemode)s and not customer.deleted and customer.default_payment_method is null
    and customer.snapshot ->> 'default_source' is null and subscription.snapshot ->> 'default_payment_method' is null
    and subscription.status in ('active', 'trialing', 'past_due') and not subscription.deleted
group by customer.customer_id
order by seen_at desc
limit %(limit)s;

-- name: charges
-- Customer by customer, each in the order of time; with what was before, of those who were charged since.
-- Stripe tells whole seconds: of two in one the one that has an invoice counts as the first.
with paid as materialized (
    select part #>> '{payment,payment_intent}' as payment_intent, min(invoice_id) as invoice, min(amount_due_minor) as due
    from billing_invoices cross join lateral jsonb_array_elements(snapshot #> '{payments,data}') part
    where livemode = %(livemode)s and not deleted
    group by 1
), overage as materialized (
    select invoice_id as invoice, sum(amount_minor)::bigint as amount
    from billing_invoice_plans join billing_invoice_plan_lines using (operation)
    where invoice_id is not null and amount_minor > 0
    group by invoice_id
), credited as materialized (
    select
        snapshot ->> 'invoice' as invoice,
        sum((snapshot ->> 'post_payment_amount')::bigint - (
            select coalesce(sum((one ->> 'amount_refunded')::bigint), 0)
            from jsonb_array_elements(coalesce(nullif(snapshot -> 'refunds', 'null'), '[]')) one
        ))::bigint as amount
    from billing_credit_notes
    where livemode = %(livemode)s and not deleted and snapshot ->> 'status' = 'issued'
    group by 1
), charged as materialized (
    select distinct customer_id from billing_charges
    where livemode = %(livemode)s and status = 'succeeded' and created_at >= %(since)s and created_at < %(until)s
)
select
    charge.object_id as id, charge.customer_id as customer, user_id as user, charge.snapshot ->> 'payment_intent' as payment_intent,
    (charge.snapshot ->> 'amount_captured')::bigint as amount, (charge.snapshot ->> 'amount_refunded')::bigint as refunded,
    charge.snapshot ->> 'currency' as currency, coalesce((charge.snapshot ->> 'disputed')::boolean, false) as disputed,
    charge.created_at, paid.invoice, paid.due, coalesce(overage.amount, 0) as overage,
    exists (
        select from billing_intents intent
        where intent.object_id = charge.snapshot ->> 'payment_intent' and intent.state = 'done'
    ) as ordered,
    coalesce(credited.amount, 0) as credited
from billing_charges charge
left join billing_customers customer using (customer_id)
left join paid on paid.payment_intent = charge.snapshot ->> 'payment_intent'
left join overage on overage.invoice = paid.invoice
left join credited on credited.invoice = paid.invoice
where
    charge.livemode = %(livemode)s and not charge.deleted and charge.status = 'succeeded'
    and (charge.snapshot ->> 'amount_captured')::bigint > 0
    and charge.created_at >= %(earliest)s and charge.created_at < %(until)s
    and (charge.created_at >= %(since)s or charge.customer_id in (select customer_id from charged))
order by charge.customer_id, charge.created_at, paid.invoice is null, charge.object_id;

-- name: made
-- What our wishes made or changed, oldest first.
select object_id as object, caused_by as by, operation, created_at as at
from billing_intents
where object_id = any(%(ids)s::text[]) and livemode = %(livemode)s and state = 'done'
order by id;

-- name: paid
select
    part #>> '{payment,payment_intent}' as payment_intent, invoice_id as invoice, invoice.snapshot ->> 'billing_reason' as reason,
    invoice.created_at as invoiced_at, subscription_id as subscription, subscription.created_at as subscribed_at
from billing_invoices invoice
cross join lateral jsonb_array_elements(invoice.snapshot #> '{payments,data}') part
cross join lateral (select invoice.snapshot #>> '{parent,subscription_details,subscription}' as subscription_id) parent
left join billing_subscriptions subscription on subscription.object_id = subscription_id
where
    invoice.customer_id = any(%(customers)s::text[])
    and part #>> '{payment,payment_intent}' = any(%(payment_intents)s::text[]);
