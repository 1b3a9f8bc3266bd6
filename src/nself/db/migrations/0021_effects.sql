-- squawk-ignore-file adding-field-with-default
-- What is told once bears a name: the object and what became of it (docs/decisions/0022).
alter table billing_notifications add column once text;
create unique index billing_notifications_once on billing_notifications (once, channel) where once is not null;

-- Since when objects of a mode are watched is its first change.
create index billing_object_changes_mode on billing_object_changes (livemode, id);

-- Ours, not Stripe's: set with the first trial, never unset.
alter table billing_customers add column trial_used boolean not null default false;
update billing_customers customer set trial_used = true
where exists (
    select from billing_subscriptions
    where customer_id = customer.customer_id and snapshot ->> 'trial_start' is not null
);

create index billing_subscriptions_newest on billing_subscriptions (created_at);
create index billing_subscriptions_trials on billing_subscriptions (((snapshot ->> 'trial_end')::bigint), object_id)
where status = 'trialing' and not deleted;
