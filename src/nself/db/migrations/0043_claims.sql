-- squawk-ignore-file require-concurrent-index-creation
-- Customers that bear a user's name and have none: asked for whenever a user is claimed twice or loses its customer.
create index billing_customers_claims on billing_customers ((snapshot -> 'metadata' ->> 'nself_user'))
where user_id is null and not deleted;
