-- Statements of invoices.

-- name: lock_users
-- What is billed to a user, and what an operator decides about it, is planned by one at a time. Ordered by the lock itself,
-- so that two never wait for each other crosswise.
select pg_advisory_xact_lock(hashtext('billing_invoice_plans'), key)
from (select distinct hashtext(name) as key from unnest(%(users)s::text[]) as asked (name) order by key) keys;

-- name: billed
-- What earlier plans billed for a period, on whichever invoice; a plan is binding from the moment it is written, whatever
-- its intents are at. The price is that of the newest line which no operator decided.
select
    plan.user_id as user, line.metric_type as metric, sum(line.amount_minor)::bigint as amount_minor,
    (array_agg(line.used order by plan.planned_at desc, plan.revision desc))[1] as used,
    (array_agg(line.limit_value order by plan.planned_at desc, plan.revision desc))[1] as limit,
    (array_agg(line.price order by line.override_id is not null, plan.planned_at desc, plan.revision desc))[1] as price
from billing_invoice_plans plan
join billing_invoice_plan_lines line using (operation)
where
    plan.user_id = any(%(users)s::text[]) and line.period_start = %(start)s and line.period_end = %(end)s
    and plan.livemode = %(livemode)s
group by plan.user_id, line.metric_type;

-- name: moved
-- Other bounds by which the same month was billed, or decided about. Months beside it have less than three days in common.
select period_start as start, period_end as end
from (
    select user_id, period_start, period_end, livemode from billing_invoice_plans
    union all
    select user_id, period_start, period_end, livemode from billing_overage_updates where price is not null
) known
where
    livemode = %(livemode)s and (%(user)s::text is null or user_id = %(user)s)
    and (period_start, period_end) <> (%(start)s, %(end)s)
    and least(period_end, %(end)s) - greatest(period_start, %(start)s) > interval '3 days'
limit 1;

-- name: revisions
select user_id, max(revision) as revision
from billing_invoice_plans
where
    user_id = any(%(users)s::text[]) and period_start = %(start)s and period_end = %(end)s and livemode = %(livemode)s
group by user_id;

-- name: overrides
-- What stands of the operators' decisions, with what was billed of it by now.
select
    newest.id, newest.user_id as user, newest.metric_type as metric, newest.period_start, newest.period_end, newest.used,
    newest.limit_value as limit, newest.price, newest.reason, newest.actor, newest.updated_at,
    billed.amount_minor as billed_minor, billed.lines
from (
    select distinct on (user_id, metric_type, period_start, period_end) *
    from billing_overage_updates
    where user_id = any(%(users)s::text[]) and livemode = %(livemode)s
    order by user_id, metric_type, period_start, period_end, id desc
) newest
cross join lateral (
    select coalesce(sum(line.amount_minor), 0)::bigint as amount_minor, count(*) as lines
    from billing_invoice_plans plan
    join billing_invoice_plan_lines line using (operation)
    where
        plan.user_id = newest.user_id and plan.livemode = %(livemode)s and line.metric_type = newest.metric_type
        and line.period_start = newest.period_start and line.period_end = newest.period_end
) billed
where newest.price is not null
order by newest.user_id, newest.period_start, newest.metric_type;

-- name: users_with_overrides
-- Few: each was made by hand.
select distinct user_id
from billing_overage_updates
where livemode = %(livemode)s and (%(user)s::text is null or user_id = %(user)s);

-- name: add_override
insert into billing_overage_updates (
    user_id, metric_type, period_start, period_end, livemode, used, limit_value, price, amount_minor, before_minor, currency,
    reason, actor, updated_at
)
values (
    %(user)s, %(metric)s, %(period_start)s, %(period_end)s, %(livemode)s, %(used)s, %(limit)s, %(price)s, %(amount_minor)s,
    %(before_minor)s, %(currency)s, %(reason)s, %(actor)s, %(updated_at)s
);

-- name: add_plan
-- Two generators at once: the second finds the revision taken and leaves it.
insert into billing_invoice_plans (
    user_id, period_start, period_end, revision, operation, customer_id, currency, total_minor, minimum, livemode, planned_at,
    invoice_id
)
values (
    %(user)s, %(start)s, %(end)s, %(revision)s, %(operation)s, %(customer)s, %(currency)s, %(total)s, %(minimum)s, %(livemode)s,
    %(now)s, %(invoice)s
)
on conflict do nothing;

-- name: add_plan_line
insert into billing_invoice_plan_lines (
    operation, line, metric_type, period_start, period_end, used, limit_value, overage, events, price, rated, override_id,
    billed_before_minor, amount_minor, description
)
values (
    %(operation)s, %(line)s, %(metric)s, %(period_start)s, %(period_end)s, %(used)s, %(limit)s, %(overage)s, %(events)s,
    %(price)s, %(rated)s, %(override)s, %(billed_before_minor)s, %(amount_minor)s, %(description)s
);

-- name: operations
select operation
from billing_invoice_plans
where
    period_start = %(start)s and period_end = %(end)s and livemode = %(livemode)s
    and (%(user)s::text is null or user_id = %(user)s)
order by operation;

-- name: plan
select user_id as user, currency, invoice_id as invoice, minimum
from billing_invoice_plans
where operation = %(operation)s;

-- name: plan_lines
select line, metric_type as metric, period_start, period_end, amount_minor, description
from billing_invoice_plan_lines
where operation = %(operation)s
order by line;

-- name: user_lines
-- Everything that was decided to be billed for usage, with where it is.
select
    line.metric_type as metric, line.period_start, line.period_end, line.used, line.limit_value as limit, line.amount_minor,
    plan.currency, plan.invoice_id as invoice, coalesce(invoice.status, 'on its way') as status, plan.planned_at
from billing_invoice_plans plan
join billing_invoice_plan_lines line using (operation)
left join billing_invoices invoice using (invoice_id)
where plan.user_id = %(user)s and plan.livemode = %(livemode)s
order by plan.planned_at, line.line;

-- name: explained_lines
select
    plan.user_id as user, line.metric_type as metric, line.period_start, line.period_end, line.used, line.limit_value as limit,
    line.overage, line.events, line.price, line.rated, line.billed_before_minor, line.amount_minor, plan.planned_at,
    override.actor, override.reason, override.updated_at
from billing_invoice_plans plan
join billing_invoice_plan_lines line using (operation)
left join billing_overage_updates override on override.id = line.override_id
where plan.invoice_id = %(invoice)s
order by line.line;

-- name: of_invoice
-- The plans whose lines stand on an invoice, oldest first.
select invoice_id as invoice, user_id as user, customer_id as customer, period_start, period_end, currency
from billing_invoice_plans
where invoice_id = %(invoice)s
order by planned_at, revision;

-- name: replaced
-- Its lines stand on another invoice now.
update billing_invoice_plans set invoice_id = %(new)s where invoice_id = %(old)s;

-- name: set_invoice
update billing_invoice_plans set invoice_id = %(invoice)s where operation = %(operation)s;

-- name: summary
select
    count(distinct coalesce(plan.invoice_id, plan.operation)) as invoices, coalesce(sum(plan.total_minor), 0)::bigint as total_minor,
    count(distinct plan.invoice_id) filter (where invoice.status = 'paid') as paid
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
    invoice_id, livemode, snapshot, snapshot_number, source, api_version, digest, created_at, synced_at
)
select id, livemode, snapshot, number, source, api_version, md5(snapshot::text), to_timestamp(created), now()
from jsonb_to_recordset(%(rows)s) as given (
    id text, livemode boolean, snapshot jsonb, number bigint, source text, api_version text, created bigint
)
on conflict (invoice_id) do update set
    deleted = false, snapshot = excluded.snapshot, digest = excluded.digest, snapshot_number = excluded.snapshot_number,
    source = excluded.source, api_version = excluded.api_version, synced_at = now()
where mirror.snapshot_number <= excluded.snapshot_number
    and not (mirror.deleted and mirror.snapshot_number = excluded.snapshot_number);

-- name: count_deleted
select count(*) from billing_invoices where invoice_id = any(%(invoices)s::text[]) and deleted;

-- name: mark_deleted
-- Only drafts can be deleted at Stripe. Its number is drawn now, so that no picture that was asked for before brings it to life,
-- also not one that was never seen alive.
insert into billing_invoices as mirror (
    invoice_id, livemode, deleted, snapshot, snapshot_number, source, api_version, digest, created_at, synced_at
)
values (
    %(id)s, %(livemode)s, true, %(snapshot)s, greatest(%(number)s, nextval('billing.snapshot_numbers')), %(source)s,
    %(api_version)s, md5(%(snapshot)s::jsonb::text), now(), now()
)
on conflict (invoice_id) do update set
    deleted = true, snapshot_number = greatest(mirror.snapshot_number, excluded.snapshot_number),
    source = excluded.source, synced_at = now();

-- name: by_id
select
    invoice.invoice_id as id, invoice.number, customer.user_id as user, invoice.customer_id as customer, invoice.status,
    invoice.currency, invoice.total_minor, invoice.amount_due_minor, invoice.amount_paid_minor, invoice.livemode,
    invoice.created_at, invoice.synced_at
from billing_invoices invoice
left join billing_customers customer using (customer_id)
where invoice.invoice_id = %(id)s and not invoice.deleted;

-- name: newest_of_user
select invoice.invoice_id
from billing_invoices invoice
join billing_customers customer using (customer_id)
where customer.user_id = %(user)s and invoice.livemode = %(livemode)s and not invoice.deleted
order by invoice.created_at desc, invoice.invoice_id
limit 1;

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
    and (%(status)s::text is null or invoice.status = case %(status)s::text when 'past_due' then 'open' else %(status)s::text end)
    and (
        %(status)s::text is distinct from 'past_due'
        or to_timestamp((invoice.snapshot ->> 'due_date')::bigint) < %(now)s
        or (invoice.snapshot ->> 'attempt_count')::bigint > 0
    )
    and (%(user)s::text is null or customer.user_id = %(user)s)
    and (%(customer)s::text is null or invoice.customer_id = %(customer)s)
order by invoice.created_at desc, invoice.invoice_id
limit %(limit)s offset %(offset)s;

-- name: drafts
select snapshot
from billing_invoices
where livemode = %(livemode)s and not deleted and status = 'draft'
order by created_at desc, invoice_id
limit %(limit)s;

-- name: failed_steps
-- Refused for good, of invoices alone; `invoice` where its id is known. What was declined and paid since is over.
with refused as (
    select
        intent.id, intent.settled_at as at, intent.operation, intent.error_code as code, intent.error,
        coalesce(
            intent.params ->> 'invoice', intent.params ->> 'of',
            case when intent.params #>> '{path,0}' = 'invoices' then intent.params #>> '{path,1}' end, plan.invoice_id
        ) as invoice,
        intent.operation ~ ':(invoice.pay|subscription.complete):' as payment
    from billing_intents intent
    left join billing_invoice_plans plan using (operation)
    where
        intent.state = 'failed' and intent.livemode = %(livemode)s and intent.settled_at >= %(since)s
        and (
            intent.kind in ('invoice.create', 'invoice.add_line', 'invoice.finalize', 'invoice.pay', 'invoice.chain', 'invoice.look')
            or (intent.kind = 'change' and intent.params #>> '{path,0}' in ('invoices', 'invoiceitems', 'credit_notes'))
        )
)
select refused.at, refused.operation, refused.code, refused.error, refused.invoice, refused.payment as declined
from refused left join billing_invoices mirror on mirror.invoice_id = refused.invoice
where not refused.payment or mirror.status is null or mirror.status in ('draft', 'open', 'uncollectible')
order by refused.at desc, refused.id desc
limit %(limit)s;

-- name: tax_rates
select snapshot
from billing_objects
where kind = 'tax_rate' and livemode = %(livemode)s and not deleted
order by created_at, object_id
limit %(limit)s;

-- name: made
-- The only step of a chain whose path is the list of invoices itself.
select object_id
from billing_intents
where operation = %(operation)s and state = 'done' and params -> 'path' = '["invoices"]';

-- name: open_operations
-- Steps name their invoice where they are about nothing else, and as what they are steps of.
select distinct operation
from billing_intents
where
    state = 'pending' and livemode = %(livemode)s and queued_at is null
    and %(invoice)s in (params ->> 'invoice', params ->> 'of', params #>> '{item,invoice}');

-- name: without_address
select count(*)
from billing_customers
where livemode = %(livemode)s and not deleted and coalesce(snapshot #>> '{address,country}', '') = '';
