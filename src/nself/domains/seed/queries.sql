-- Statements of seeds and test data. They look at test mode alone.

-- name: standing
-- What goes with a customer that was deleted counts no more, also where Stripe keeps it (paid invoices).
select
    'customers' as kind, snapshot #>> '{metadata,nself_seed}' as key, coalesce(snapshot #>> '{metadata,nself_seed_digest}', '') as digest,
    customer_id as id, 'active' as status, customer_id as customer
from billing_customers
where not livemode and not deleted and snapshot #>> '{metadata,nself_seed}' is not null
union all
select
    'subscriptions', mirror.snapshot #>> '{metadata,nself_seed}', coalesce(mirror.snapshot #>> '{metadata,nself_seed_digest}', ''),
    object_id, mirror.status, customer_id
from billing_subscriptions mirror join billing_customers customer using (customer_id)
where
    not mirror.livemode and not mirror.deleted and not customer.deleted and mirror.status not in ('canceled', 'incomplete_expired')
    and mirror.snapshot #>> '{metadata,nself_seed}' is not null
union all
select
    'invoices', mirror.snapshot #>> '{metadata,nself_seed}', coalesce(mirror.snapshot #>> '{metadata,nself_seed_digest}', ''),
    invoice_id, mirror.status, customer_id
from billing_invoices mirror join billing_customers customer using (customer_id)
where
    not mirror.livemode and not mirror.deleted and not customer.deleted and mirror.snapshot #>> '{metadata,nself_seed}' is not null
union all
select 'prices', snapshot #>> '{metadata,nself_seed}', coalesce(snapshot #>> '{metadata,nself_seed_digest}', ''), object_id, 'active', null
from billing_objects
where
    kind = 'price' and not livemode and not deleted and snapshot ->> 'active' = 'true' and snapshot #>> '{metadata,nself_seed}' is not null
order by kind, key, id;

-- name: unfinished
-- Operations of a run that was killed; a clear finishes them first, so that nothing comes after it.
select distinct operation from billing_intents where state = 'pending' and operation like 'test:seed.%%' order by operation;

-- name: begin
insert into billing_seed_runs (what, started_at) values (%(what)s, %(at)s) returning id;

-- name: finish
update billing_seed_runs set ended_at = %(at)s, errors = %(errors)s where id = %(id)s;

-- name: last
-- `cleared`: since then nobody asked for what the files describe; test data are drawn by chance.
select
    what, started_at, ended_at, errors,
    coalesce((select what = 'seed clear' from billing_seed_runs where what like 'seed %%' order by id desc limit 1), false) as cleared
from billing_seed_runs
order by id desc
limit 1;
