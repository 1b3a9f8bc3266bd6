-- Statements of root causes: payments that failed and are still owed.

-- name: owed
-- Newest first: open invoices whose payment failed or waits for the customer. A first payment is left an hour for that.
select
    invoice.invoice_id as invoice, invoice.customer_id as customer, payment.object_id as payment_intent, payment.status,
    coalesce(
        payment.snapshot -> 'last_payment_error' ->> 'decline_code', payment.snapshot -> 'last_payment_error' ->> 'code', ''
    ) as code,
    coalesce(
        payment.snapshot #>> '{last_payment_error,payment_method,id}', payment.snapshot ->> 'payment_method',
        customer.default_payment_method, ''
    ) as method
from (
    select * from billing_invoices
    where status = 'open' and not deleted and livemode = %(livemode)s
    order by created_at desc
    limit %(limit)s
) invoice
cross join lateral jsonb_array_elements(invoice.snapshot #> '{payments,data}') part
join billing_payments payment on payment.object_id = part #>> '{payment,payment_intent}'
left join billing_customers customer on customer.customer_id = invoice.customer_id
where
    payment.status = 'requires_payment_method' and payment.snapshot -> 'last_payment_error' ->> 'code' is not null
    or payment.status = 'requires_action' and (
        invoice.snapshot ->> 'billing_reason' <> 'subscription_create' or invoice.created_at < %(early)s
    )
order by invoice.created_at desc;
