-- Statements of payments. Everything is read from the mirror.

-- name: methods
-- Attached ones, newest first.
select
    method.object_id as id, user_id as user, method.snapshot,
    coalesce(customer.default_payment_method = method.object_id, false) as default, method.source, method.synced_at
from billing_payment_methods method left join billing_customers customer using (customer_id)
where method.livemode = %(livemode)s and not method.deleted and method.customer_id is not null
    and (%(customer)s::text is null or method.customer_id = %(customer)s)
order by method.created_at desc, method.object_id
limit %(limit)s;

-- name: method
select
    method.object_id as id, user_id as user, method.snapshot,
    coalesce(customer.default_payment_method = method.object_id, false) as default, method.source, method.synced_at
from billing_payment_methods method left join billing_customers customer using (customer_id)
where method.object_id = %(id)s and not method.deleted;

-- name: failures
-- Newest first: failed charges, and payment intents that failed without one or wait for the customer. An invoice is named by
-- its payments.
with failed as (
    (
        select object_id, snapshot, snapshot ->> 'payment_intent' as payment_intent, customer_id, created_at
        from billing_charges
        where status = 'failed' and livemode = %(livemode)s
            and (%(customer)s::text is null or customer_id = %(customer)s)
            and (%(method)s::text is null or snapshot ->> 'payment_method' = %(method)s)
            and (%(since)s::timestamptz is null or created_at >= %(since)s)
        order by created_at desc, object_id
        limit %(limit)s
    )
    union all
    (
        select object_id, snapshot, object_id, customer_id, created_at
        from billing_payments
        where snapshot -> 'last_payment_error' ->> 'code' is not null and livemode = %(livemode)s
            and snapshot -> 'last_payment_error' ->> 'charge' is null
            and (%(customer)s::text is null or customer_id = %(customer)s)
            and (%(method)s::text is null or snapshot #>> '{last_payment_error,payment_method,id}' = %(method)s)
            and (%(since)s::timestamptz is null or created_at >= %(since)s)
        order by created_at desc, object_id
        limit %(limit)s
    )
    union all
    (
        select object_id, snapshot, object_id, customer_id, created_at
        from billing_payments
        where status = 'requires_action' and snapshot -> 'last_payment_error' ->> 'code' is null and livemode = %(livemode)s
            and (%(customer)s::text is null or customer_id = %(customer)s)
            and (%(method)s::text is null or snapshot ->> 'payment_method' = %(method)s)
            and (%(since)s::timestamptz is null or created_at >= %(since)s)
        order by created_at desc, object_id
        limit %(limit)s
    )
)
select
    failed.object_id as object, failed.snapshot, failed.payment_intent, payment.status as payment_intent_status,
    failed.customer_id as customer, user_id as user,
    (
        select invoice_id
        from billing_invoices invoice
        cross join lateral jsonb_array_elements(invoice.snapshot #> '{payments,data}') part
        where invoice.customer_id = failed.customer_id and part #>> '{payment,payment_intent}' = failed.payment_intent
        limit 1
    ) as invoice,
    failed.created_at as at
from failed
left join billing_customers using (customer_id)
left join billing_payments payment on payment.object_id = failed.payment_intent
order by failed.created_at desc, failed.object_id
limit %(limit)s;

-- name: alike
-- Payments that the same request made: how many, and the newest that took or takes money.
select
    count(*) as count,
    (array_agg(object_id order by created_at desc) filter (where status in ('succeeded', 'processing')))[1] as newest,
    max(created_at) filter (where status in ('succeeded', 'processing')) as newest_at
from billing_payments
where customer_id = %(customer)s and snapshot -> 'metadata' ->> 'nself_request' = %(request)s;

-- name: invoice_of
select invoice_id
from billing_invoices cross join lateral jsonb_array_elements(snapshot #> '{payments,data}') part
where customer_id = %(customer)s and not deleted and part #>> '{payment,payment_intent}' = %(payment_intent)s
limit 1;

-- name: newest_wish
select coalesce(max(id), 0) from billing_intents;

-- name: given_back_meanwhile
-- Those of the customers to whom something goes back by a wish that is newer than `since`, or not at its end.
select distinct coalesce(charge.snapshot ->> 'customer', invoice.customer_id) as customer
from (
    select operation, params from billing_intents where state = 'pending' and livemode = %(livemode)s
    union all
    select operation, params from billing_intents where id > %(since)s and state = 'done' and livemode = %(livemode)s
) wish
left join billing_charges charge on charge.object_id = params #>> '{params,charge}'
left join billing_invoices invoice on invoice.invoice_id = params #>> '{params,invoice}'
where
    jsonb_array_length(params -> 'path') = 1 and params #>> '{path,0}' = any(%(collections)s::text[])
    and operation <> %(own)s::text
    and coalesce(charge.snapshot ->> 'customer', invoice.customer_id) = any(%(customers)s::text[]);

-- name: transactions
select
    id, kind, amount_minor, transactions.currency, status, customer_id as customer, user_id as user, charge, payment_intent,
    description, transactions.created_at
from billing_transactions transactions left join billing_customers customer using (customer_id)
where transactions.livemode = %(livemode)s and (%(customer)s::text is null or customer_id = %(customer)s)
    and (%(kind)s::text is null or kind = %(kind)s)
order by transactions.created_at desc, id
limit %(limit)s offset %(offset)s;

-- name: refunds
select
    refund.object_id as id, refund.snapshot ->> 'charge' as charge, refund.snapshot ->> 'payment_intent' as payment_intent,
    charge.customer_id as customer, user_id as user, (refund.snapshot ->> 'amount')::bigint as amount_minor,
    refund.snapshot ->> 'currency' as currency, refund.status,
    coalesce(refund.snapshot -> 'metadata' ->> 'nself_reason', refund.snapshot ->> 'reason') as reason, refund.created_at
from billing_refunds refund
left join billing_charges charge on charge.object_id = refund.snapshot ->> 'charge'
left join billing_customers customer on customer.customer_id = charge.customer_id
where refund.livemode = %(livemode)s and not refund.deleted
    and (%(charge)s::text is null or refund.snapshot ->> 'charge' = %(charge)s)
    and (%(customer)s::text is null or charge.customer_id = %(customer)s)
order by refund.created_at desc, refund.object_id
limit %(limit)s offset %(offset)s;

-- name: test_customer
-- Whom test payments are made for, and how many of them are gone.
select
    max(customer_id) filter (where not deleted) as id, count(*) filter (where deleted) as gone
from billing_customers
where snapshot -> 'metadata' ->> 'nself_test_payment' = 'true' and not livemode;
