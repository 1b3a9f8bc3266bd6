-- Damage to webhooks that only a hand in the database can do.

-- name: unmark_event
-- It was given up after its effect had been stored.
update billing_webhook_events set status = 'failed_permanent', processed_at = null where event_id = %(event)s;

-- name: race_event
-- As a second worker would have left it that had begun before the first one was done.
insert into billing_object_changes (kind, object_id, livemode, what, source, cause, snapshot_number, changes, changed_at)
select kind, object_id, livemode, 'updated', source, cause, snapshot_number, changes, changed_at + interval '20 milliseconds'
from billing_object_changes
where %(event)s = any(string_to_array(source, ' '));

-- name: retry_event
-- As if it had failed, and its retry had come after everything else.
with moved as (
    update billing_webhook_events event
    set attempts = 2, processed_at = newest.at + interval '1 second'
    from (select max(processed_at) as at from billing_webhook_events) newest
    where event_id = %(event)s
    returning object_kind, object_id
)
update billing_objects object
set source = 'webhook ' || %(event)s::text
from moved
where object.kind = moved.object_kind and object.object_id = moved.object_id;

-- name: slow_function
-- What a trigger of somebody else does to each row.
create or replace function billing.drill_slow() returns trigger language plpgsql
as 'begin perform pg_sleep(4); return new; end';

-- name: slow_trigger
create or replace trigger drill_slow before insert or update on billing_subscriptions
for each row execute function billing.drill_slow();

-- name: quick_again
drop function if exists billing.drill_slow cascade;
