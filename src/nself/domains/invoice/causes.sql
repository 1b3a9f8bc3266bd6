-- Statements that look for root causes.

-- name: held_drafts
-- Oldest first: drafts with something in their way; those that advance by themselves have an hour and more to do so.
-- In the hour of renewals there are very many, and those that are held are the oldest.
with drafts as (
    select * from billing_invoices
    where livemode = %(livemode)s and not deleted and status = 'draft'
    order by created_at
    limit 2000
)
select
    invoice.invoice_id as invoice, invoice.customer_id as customer, invoice.total_minor, invoice.currency,
    coalesce(jsonb_array_length(invoice.snapshot #> '{lines,data}'), 0) as lines,
    coalesce(invoice.snapshot ->> 'customer_email', '') <> '' or coalesce(customer.email, '') <> '' as mailed,
    coalesce(customer.snapshot #>> '{address,country}', '') <> '' as located,
    coalesce(invoice.snapshot #>> '{automatic_tax,status}', '') as tax, invoice.created_at < case
        when (invoice.snapshot ->> 'auto_advance')::boolean then %(advanced)s::timestamptz else %(made)s::timestamptz
    end as stuck
from drafts invoice
left join billing_customers customer using (customer_id)
where
    invoice.total_minor = 0 or coalesce(invoice.snapshot ->> 'customer_email', '') = ''
    or invoice.snapshot #>> '{automatic_tax,status}' in ('failed', 'requires_location_inputs')
order by invoice.created_at, invoice.invoice_id
limit %(limit)s;

-- name: drafts_of_usage
-- Whose usage of which period stands on a draft.
select distinct
    invoice.invoice_id as invoice, plan.user_id as user, plan.customer_id as customer, plan.period_start, plan.period_end,
    plan.currency
from billing_invoices invoice
join billing_invoice_plans plan using (invoice_id)
where invoice.livemode = %(livemode)s and not invoice.deleted and invoice.status = 'draft'
order by plan.period_start desc, invoice.invoice_id, plan.user_id
limit %(limit)s;

-- name: prices_subscribed
-- By the customers of drafts: of each product the price that they subscribe to.
select distinct array[subscription.customer_id, item #>> '{price,product}', item #>> '{price,id}']
from billing_subscriptions subscription
cross join lateral jsonb_array_elements(subscription.snapshot #> '{items,data}') item
where
    subscription.customer_id = any(%(customers)s::text[]) and not subscription.deleted
    and subscription.status in ('active', 'trialing', 'past_due');

-- name: draft_changes
-- What changed on the newest drafts while they were known here, oldest first.
with drafts as (
    select invoice_id from billing_invoices
    where livemode = %(livemode)s and not deleted and status = 'draft'
    order by created_at desc
    limit %(limit)s
)
select changed.id, changed.kind, changed.object_id as object, changed.what, changed.source, changed.cause, changed.changes, changed.changed_at
from drafts join billing_object_changes changed on changed.object_id = drafts.invoice_id
where changed.what = 'updated'
order by changed.id;

-- name: untaxed_drafts
-- Newest first: of the newest drafts those without tax, of customers whose newest final invoice since then had one.
with drafts as (
    select * from billing_invoices
    where livemode = %(livemode)s and not deleted and status = 'draft' and total_minor > 0
    order by created_at desc
    limit %(limit)s
)
select invoice.invoice_id
from drafts invoice
join lateral (
    select snapshot from billing_invoices earlier
    where
        earlier.customer_id = invoice.customer_id and earlier.created_at > %(since)s and not earlier.deleted
        and earlier.status in ('open', 'paid')
    order by earlier.created_at desc
    limit 1
) earlier on jsonb_array_length(nullif(earlier.snapshot -> 'total_taxes', 'null')) > 0
where
    coalesce(jsonb_array_length(nullif(invoice.snapshot -> 'total_taxes', 'null')), 0) = 0
    and not coalesce((invoice.snapshot #>> '{automatic_tax,enabled}')::boolean, false)
order by invoice.created_at desc;

-- name: unverified_customers
select customer_id
from billing_customers
where snapshot @? '$.tax_ids.data[*].verification.status ? (@ == "unverified")' and not deleted and livemode = %(livemode)s
order by customer_id
limit %(limit)s;
