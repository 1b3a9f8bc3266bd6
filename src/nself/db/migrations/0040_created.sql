-- squawk-ignore-file require-concurrent-index-creation
-- What was made in a stretch of time: each page of a comparison asks for it.
create index billing_objects_created on billing_objects (created_at);
create index billing_invoices_created on billing_invoices (created_at);
create index billing_customers_created on billing_customers (created_at);
