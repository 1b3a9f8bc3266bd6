-- Statements of invoices.

-- name: billed
-- What earlier plans billed; a plan is binding from the moment it is written, whatever its intents are at.
select
    plan.user_id as user, line.metric_type as metric, sum(line.amount_minor)::bigint as amount_minor,
    (
        select max(newest.revision)
        from billing_invoice_plans newest
        where newest.user_id = plan.user_id and newest.period_start = plan.period_start and newest.period_end = plan.period_end
            and newest.livemode = plan.livemode
    ) as revision
from billing_invoice_plans plan
join billing_invoice_plan_lines line using (operation)
where
    plan.user_id = any(%(users)s::text[]) and plan.period_start = %(start)s and plan.period_end = %(end)s
    and plan.livemode = %(livemode)s
group by plan.user_id, plan.period_start, plan.period_end, plan.livemode, line.metric_type;

-- name: add_plan
-- Two generators at once: the second finds the revision taken and leaves it.
insert into billing_invoice_plans (
    user_id, period_start, period_end, revision, operation, customer_id, currency, total_minor, livemode, planned_at
)
values (
    %(user)s, %(start)s, %(end)s, %(revision)s, %(operation)s, %(customer)s, %(currency)s, %(total)s, %(livemode)s, %(now)s
)
on conflict do nothing;

-- name: add_plan_line
insert into billing_invoice_plan_lines (
    operation, metric_type, used, limit_value, overage, billed_before_minor, rate, per, amount_minor, description
)
values (
    %(operation)s, %(metric)s, %(used)s, %(limit)s, %(overage)s, %(billed_before_minor)s, %(rate)s, %(per)s, %(amount_minor)s,
    %(description)s
);

-- name: operations
select operation
from billing_invoice_plans
where
    period_start = %(start)s and period_end = %(end)s and livemode = %(livemode)s
    and (%(user)s::text is null or user_id = %(user)s)
order by operation;

-- name: plan
select user_id as user, period_start, period_end, currency, invoice_id as invoice
from billing_invoice_plans
where operation = %(operation)s;

-- name: plan_lines
select metric_type as metric, amount_minor, description
from billing_invoice_plan_lines
where operation = %(operation)s
order by metric_type;

-- name: set_invoice
update billing_invoice_plans set invoice_id = %(invoice)s where operation = %(operation)s;

-- name: summary
select
    count(*) as invoices, coalesce(sum(plan.total_minor), 0)::bigint as total_minor,
    count(*) filter (where invoice.status = 'paid') as paid
from billing_invoice_plans plan
left join billing_invoices invoice using (invoice_id)
where
    plan.period_start = %(start)s and plan.period_end = %(end)s and plan.livemode = %(livemode)s
    and (%(user)s::text is null or plan.user_id = %(user)s);

-- name: closed
-- Operations whose invoice was paid or given up at Stripe, whatever became of our own attempt to have it paid.
select plan.operation
from billing_invoice_plans plan
join billing_invoices invoice using (invoice_id)
where plan.operation = any(%(operations)s::text[]) and invoice.status in ('paid', 'void', 'uncollectible');

-- name: upsert
insert into billing_invoices as mirror (
    invoice_id, customer_id, number, status, currency, total_minor, amount_due_minor, amount_paid_minor, livemode, snapshot,
    snapshot_number, created_at, synced_at
)
values (
    %(id)s, %(customer)s, %(number)s, %(status)s, %(currency)s, %(total)s, %(amount_due)s, %(amount_paid)s, %(livemode)s,
    %(snapshot)s, %(snapshot_number)s, to_timestamp(%(created)s), now()
)
on conflict (invoice_id) do update set
    customer_id = excluded.customer_id, number = excluded.number, status = excluded.status, currency = excluded.currency,
    total_minor = excluded.total_minor, amount_due_minor = excluded.amount_due_minor,
    amount_paid_minor = excluded.amount_paid_minor, snapshot = excluded.snapshot, snapshot_number = excluded.snapshot_number,
    synced_at = now()
where mirror.snapshot_number <= excluded.snapshot_number and not mirror.deleted;

-- name: is_deleted
select deleted from billing_invoices where invoice_id = %(id)s;

-- name: mark_deleted
-- Only drafts can be deleted at Stripe, and deletion is final.
update billing_invoices
set deleted = true, snapshot_number = greatest(snapshot_number, %(snapshot_number)s), synced_at = now()
where invoice_id = %(id)s;

-- name: by_id
select
    invoice.invoice_id as id, invoice.number, customer.user_id as user, invoice.customer_id as customer, invoice.status,
    invoice.currency, invoice.total_minor, invoice.amount_due_minor, invoice.amount_paid_minor, invoice.livemode,
    invoice.created_at, invoice.synced_at
from billing_invoices invoice
left join billing_customers customer using (customer_id)
where invoice.invoice_id = %(id)s and not invoice.deleted;

-- name: snapshot
select snapshot from billing_invoices where invoice_id = %(id)s;

-- name: list
select
    invoice.invoice_id as id, invoice.number, customer.user_id as user, invoice.customer_id as customer, invoice.status,
    invoice.currency, invoice.total_minor, invoice.amount_due_minor, invoice.amount_paid_minor, invoice.livemode,
    invoice.created_at, invoice.synced_at
from billing_invoices invoice
left join billing_customers customer using (customer_id)
where
    invoice.livemode = %(livemode)s and not invoice.deleted
    and (%(status)s::text is null or invoice.status = %(status)s)
    and (%(user)s::text is null or customer.user_id = %(user)s)
order by invoice.created_at desc, invoice.invoice_id
limit %(limit)s offset %(offset)s;
