-- Statements of subscriptions.

-- name: by_id
select
    object_id as id, user_id as user, mirror.customer_id as customer, mirror.status, mirror.deleted, mirror.snapshot, mirror.source,
    mirror.api_version, mirror.digest = md5(mirror.snapshot::text) as intact, mirror.created_at, mirror.synced_at
from billing_subscriptions mirror left join billing_customers using (customer_id)
where object_id = %(id)s;

-- name: payment
-- An invoice has one payment intent by default; others are payments by hand.
select part #>> '{payment,payment_intent}' as payment_intent, payment.status as payment_intent_status
from billing_invoices invoice
cross join lateral jsonb_array_elements(invoice.snapshot #> '{payments,data}') one (part)
left join billing_payments payment on payment.object_id = part #>> '{payment,payment_intent}'
where invoice_id = %(invoice)s and (part -> 'is_default')::boolean
limit 1;

-- name: list
select
    object_id as id, user_id as user, mirror.customer_id as customer, mirror.status, mirror.deleted, mirror.snapshot, mirror.source,
    mirror.api_version, mirror.digest = md5(mirror.snapshot::text) as intact, mirror.created_at, mirror.synced_at
from billing_subscriptions mirror left join billing_customers using (customer_id)
where mirror.livemode = %(livemode)s and not mirror.deleted and (%(user)s::text is null or user_id = %(user)s)
    and (%(customer)s::text is null or mirror.customer_id = %(customer)s)
    and (%(status)s::text is null or mirror.status = %(status)s)
order by mirror.created_at desc, object_id
limit %(limit)s offset %(offset)s;

-- name: count_live
select count(*) from billing_subscriptions where livemode and not deleted;

-- name: ending_trials
-- Those that end from now until a time, behind the last one that was read.
select
    object_id as id, user_id as user, mirror.customer_id as customer, mirror.status, mirror.deleted, mirror.snapshot, mirror.source,
    mirror.api_version, mirror.digest = md5(mirror.snapshot::text) as intact, mirror.created_at, mirror.synced_at
from billing_subscriptions mirror left join billing_customers using (customer_id)
where mirror.status = 'trialing' and not mirror.deleted and mirror.livemode = %(livemode)s
    and (mirror.snapshot ->> 'trial_end')::bigint <= %(until)s
    and ((mirror.snapshot ->> 'trial_end')::bigint, object_id) > (%(trial_end)s, %(id)s)
order by (mirror.snapshot ->> 'trial_end')::bigint, object_id
limit %(limit)s;

-- name: had_trial
select distinct customer_id
from billing_subscriptions
where customer_id = any(%(customers)s::text[]) and snapshot ->> 'trial_start' is not null;

-- name: add_preview
-- Those that nobody can apply any more are forgotten.
with forgotten as (
    delete from billing_change_previews where subscription_id = %(subscription)s and made_at < %(made_at)s::timestamptz - interval '30 days'
)
insert into billing_change_previews (
    token, subscription_id, item_id, price_id, quantity, behavior, proration_date, state, livemode, made_at
)
values (
    %(token)s, %(subscription)s, %(item)s, %(price)s, %(quantity)s, %(behavior)s, %(proration_date)s, %(state)s, %(livemode)s,
    %(made_at)s
);

-- name: preview
select
    token, subscription_id as subscription, item_id as item, price_id as price, quantity, behavior, proration_date, state, made_at
from billing_change_previews
where token = %(token)s and subscription_id = %(subscription)s and livemode = %(livemode)s;

-- name: last_preview
select
    token, subscription_id as subscription, item_id as item, price_id as price, quantity, behavior, proration_date, state, made_at
from billing_change_previews
where subscription_id = %(subscription)s and livemode = %(livemode)s and made_at > %(since)s
order by made_at desc, token
limit 1;

-- name: invoices_of
select invoice.snapshot
from billing_invoices invoice
join billing_subscriptions subscription on subscription.object_id = %(subscription)s and subscription.customer_id = invoice.customer_id
where not invoice.deleted and invoice.snapshot #>> '{parent,subscription_details,subscription}' = %(subscription)s
order by invoice.created_at, invoice.invoice_id;

-- name: add_comp
insert into billing_comps (subscription_id, livemode, reason, actor, given_at, until)
values (%(subscription)s, %(livemode)s, %(reason)s, %(actor)s, %(now)s, %(until)s);
