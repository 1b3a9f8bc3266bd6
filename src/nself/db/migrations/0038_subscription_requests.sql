-- squawk-ignore-file require-concurrent-index-creation
-- What was asked for subscriptions here and what became of it: what Stripe has can be held against it.
create table billing_subscription_requests (
    id bigint generated always as identity primary key,
    livemode boolean not null,
    what text not null,
    customer_id text,
    subscription_id text,
    price_id text,
    asked text not null,
    trial_end timestamptz,
    behavior text,
    zone text not null,
    failure text,
    error text,
    made_at timestamptz not null
);
create index billing_subscription_requests_subscription on billing_subscription_requests (subscription_id, made_at);
create index billing_subscription_requests_failed on billing_subscription_requests (made_at) where failure is not null;
create index billing_subscription_requests_made on billing_subscription_requests (made_at);

-- Payments that wait for the customer.
create index billing_payments_asked on billing_payments (created_at) where status = 'requires_action';
create index billing_subscription_requests_trials on billing_subscription_requests (trial_end) where trial_end is not null;

-- What is owed: few of all invoices.
create index billing_invoices_open on billing_invoices (created_at) where status = 'open' and not deleted;
