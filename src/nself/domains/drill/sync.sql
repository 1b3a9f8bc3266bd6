-- Damage to the mirror and to its comparison with Stripe that only a hand in the database, or a crash, can do.

-- name: take_back
-- As if the row had been restored to what it was before, and the record of changes had not.
update billing_objects
set
    snapshot = snapshot || '{"metadata": {"plan": "before"}}'::jsonb,
    digest = md5((snapshot || '{"metadata": {"plan": "before"}}'::jsonb)::text), snapshot_number = 0
where kind = 'subscription' and object_id = %(object)s;

-- name: delete_customer
delete from billing_customers where customer_id = %(object)s;

-- name: forget_changes
delete from billing_object_changes where object_id = %(object)s;

-- name: forget_events
delete from billing_webhook_events where object_id = %(object)s;

-- name: forget_runs
with gone as (delete from billing_sync_differences) delete from billing_sync_runs;

-- name: break_run
insert into billing_sync_runs (
    purpose, livemode, heal, kinds, batch_size, state, kind_number, checked, actor, worker, lease_until, started_at, moved_at, error
)
values (
    'reconcile', false, true,
    array[
        'product', 'price', 'tax_rate', 'customer', 'payment_method', 'subscription', 'invoice', 'payment_intent', 'charge', 'refund',
        'dispute', 'credit_note'
    ],
    100, 'stopped', 4, 1, 'drill', 'elsewhere:1', now() - interval '1 hour', now() - interval '2 hours', now() - interval '1 hour',
    %(error)s
);

-- name: refusing_function
-- What a check of somebody else does to each row.
create or replace function billing.drill_refuse() returns trigger language plpgsql
as 'begin raise exception ''value out of range''; end';

-- name: refusing_trigger
create or replace trigger drill_refuse before insert or update on billing_subscriptions
for each row execute function billing.drill_refuse();

-- name: refusing_trigger_of_customers
create or replace trigger drill_refuse before insert or update on billing_customers
for each row execute function billing.drill_refuse();

-- name: refuse_no_more
drop function if exists billing.drill_refuse cascade;
