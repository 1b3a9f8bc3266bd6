-- Statements of exports: one stream each, read by a cursor. No column holds card data.

-- name: charges
select
    charge.object_id as id, charge.created_at, charge.customer_id as customer, user_id as user, charge.status,
    (charge.snapshot ->> 'amount')::bigint as amount, (charge.snapshot ->> 'amount_refunded')::bigint as amount_refunded,
    charge.snapshot ->> 'currency' as currency, charge.snapshot ->> 'payment_intent' as payment_intent,
    paid.invoice_id as invoice, (charge.snapshot ->> 'disputed')::boolean as disputed,
    charge.snapshot ->> 'failure_code' as failure_code, charge.snapshot ->> 'description' as description
from billing_charges charge
left join billing_customers customer using (customer_id)
left join lateral (
    select invoice_id
    from billing_invoices invoice
    cross join lateral jsonb_array_elements(invoice.snapshot #> '{payments,data}') part
    where
        invoice.customer_id = charge.customer_id
        and part #>> '{payment,payment_intent}' = charge.snapshot ->> 'payment_intent'
    limit 1
) paid on true
where
    charge.livemode = %(livemode)s and not charge.deleted and charge.created_at >= %(since)s and charge.created_at < %(until)s
    and (%(user)s::text is null or user_id = %(user)s)
order by charge.created_at, charge.object_id;

-- name: invoices
select
    invoice_id as id, invoice.created_at, invoice.customer_id as customer, user_id as user, invoice.status, number,
    invoice.currency, (invoice.snapshot ->> 'subtotal')::bigint as subtotal, total_minor as total,
    amount_due_minor as amount_due, amount_paid_minor as amount_paid,
    (invoice.snapshot ->> 'amount_remaining')::bigint as amount_remaining, invoice.snapshot ->> 'billing_reason' as billing_reason,
    invoice.snapshot #>> '{parent,subscription_details,subscription}' as subscription
from billing_invoices invoice left join billing_customers customer using (customer_id)
where
    invoice.livemode = %(livemode)s and not invoice.deleted and invoice.created_at >= %(since)s
    and invoice.created_at < %(until)s and (%(user)s::text is null or user_id = %(user)s)
order by invoice.created_at, invoice_id;

-- name: subscriptions
select
    subscription.object_id as id, subscription.created_at, subscription.customer_id as customer, user_id as user,
    subscription.status, subscription.snapshot ->> 'currency' as currency, items.prices, items.quantity, items.current_period_end,
    coalesce((subscription.snapshot ->> 'cancel_at_period_end')::boolean, false) as cancel_at_period_end,
    to_timestamp((subscription.snapshot ->> 'canceled_at')::bigint) as canceled_at,
    to_timestamp((subscription.snapshot ->> 'trial_end')::bigint) as trial_end
from billing_subscriptions subscription
left join billing_customers customer using (customer_id)
cross join lateral (
    select
        string_agg(item #>> '{price,id}', ' ') as prices, sum((item ->> 'quantity')::bigint)::bigint as quantity,
        to_timestamp(min((item ->> 'current_period_end')::bigint)) as current_period_end
    from jsonb_array_elements(subscription.snapshot #> '{items,data}') item
) items
where
    subscription.livemode = %(livemode)s and not subscription.deleted and subscription.created_at >= %(since)s
    and subscription.created_at < %(until)s and (%(user)s::text is null or user_id = %(user)s)
order by subscription.created_at, subscription.object_id;

-- name: payments
select
    payment.object_id as id, payment.created_at, payment.customer_id as customer, user_id as user, payment.status,
    (payment.snapshot ->> 'amount')::bigint as amount, (payment.snapshot ->> 'amount_received')::bigint as amount_received,
    payment.snapshot ->> 'currency' as currency, payment.snapshot ->> 'latest_charge' as charge,
    payment.snapshot #>> '{last_payment_error,code}' as error_code, payment.snapshot ->> 'description' as description
from billing_payments payment left join billing_customers customer using (customer_id)
where
    payment.livemode = %(livemode)s and not payment.deleted and payment.created_at >= %(since)s
    and payment.created_at < %(until)s and (%(user)s::text is null or user_id = %(user)s)
order by payment.created_at, payment.object_id;

-- name: refunds
select
    refund.object_id as id, refund.created_at, charge.customer_id as customer, user_id as user, refund.status,
    (refund.snapshot ->> 'amount')::bigint as amount, refund.snapshot ->> 'currency' as currency,
    refund.snapshot ->> 'charge' as charge, refund.snapshot ->> 'payment_intent' as payment_intent,
    coalesce(refund.snapshot -> 'metadata' ->> 'nself_reason', refund.snapshot ->> 'reason') as reason
from billing_refunds refund
left join billing_charges charge on charge.object_id = refund.snapshot ->> 'charge'
left join billing_customers customer on customer.customer_id = charge.customer_id
where
    refund.livemode = %(livemode)s and not refund.deleted and refund.created_at >= %(since)s
    and refund.created_at < %(until)s and (%(user)s::text is null or user_id = %(user)s)
order by refund.created_at, refund.object_id;

-- name: usage
select
    user_id as user, metric_type as metric, value, created_at as at, idempotency_key as key, source, recorded_at
from billing_usage_counted
where created_at >= %(since)s and created_at < %(until)s and (%(user)s::text is null or user_id = %(user)s)
order by created_at, user_id, idempotency_key;
