-- squawk-ignore-file require-concurrent-index-creation
-- The customers of a user, with those that are deleted.
create index billing_customers_of_user on billing_customers (user_id);
-- Trials by their beginning.
create index billing_subscriptions_trial_start on billing_subscriptions (((snapshot ->> 'trial_start')::bigint))
where snapshot ->> 'trial_start' is not null;

-- How many raw events were recorded before a time, by the last count of all. Who takes some away or puts some back forgets it.
create table billing_usage_recounts (
    one boolean primary key default true check (one),
    before timestamptz not null,
    events bigint not null,
    counted_at timestamptz not null
);
