-- squawk-ignore-file adding-field-with-default, require-concurrent-index-creation, require-concurrent-index-deletion
-- Local to the coordinator. What a customer is searched by, newest first, without reading what Stripe sent of it.
-- It ends where it would no longer fit into an index.
alter table billing_customers
add column found_by text not null generated always as (
    left(
        lower(coalesce(snapshot ->> 'email', '') || chr(10) || coalesce(snapshot ->> 'name', '') || chr(10) || coalesce(user_id, '') || chr(10) || customer_id),
        400
    )
) stored;

drop index billing_customers_created;
create index billing_customers_created on billing_customers (created_at desc, customer_id) include (livemode, deleted, found_by);
