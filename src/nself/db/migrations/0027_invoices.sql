-- squawk-ignore-file ban-drop-constraint, require-concurrent-index-creation
-- Two rows an invoice at most: indexed in a moment.
-- A draft that is brought up to date takes the lines of a later plan; what the minimum charge was when it was planned stays with it.
alter table billing_invoice_plans
    drop constraint billing_invoice_plans_invoice_id_key,
    add column minimum jsonb;
create index billing_invoice_plans_invoice on billing_invoice_plans (invoice_id);
