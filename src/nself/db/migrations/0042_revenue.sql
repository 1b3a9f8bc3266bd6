-- squawk-ignore-file require-concurrent-index-creation
-- Local to the coordinator: how the monthly recurring revenue of each subscription became what it is (docs/decisions/0042).
-- Changed subscriptions whose worth is to be worked out; written with the change, taken away with what came of it.
create table billing_mrr_due (
    id bigint generated always as identity primary key,
    subscription_id text not null,
    snapshot jsonb not null,
    at timestamptz not null,
    seen_at timestamptz not null
);
create index billing_mrr_due_subscription on billing_mrr_due (subscription_id);

-- Append only. From `at` on the subscription is worth `mrr_minor` a month, because of `parts`. A note says at once what will be
-- when its discounts end; a later note replaces what an earlier one says of the time from `noted_at` on. `first`: nobody knows
-- what was between `at` and `seen_at`. `doubt`: what could not be found out.
create table billing_mrr (
    note bigint not null,
    at timestamptz not null,
    subscription_id text not null,
    customer_id text not null,
    livemode boolean not null,
    currency text not null,
    noted_at timestamptz not null,
    seen_at timestamptz not null,
    first boolean not null,
    mrr_minor bigint not null check (mrr_minor >= 0),
    parts jsonb not null,
    doubt text,
    primary key (note, at)
);
create index billing_mrr_subscription on billing_mrr (subscription_id, note);
create index billing_mrr_customer on billing_mrr (customer_id, livemode);

-- What holds of it, with what each step changed.
create view billing_mrr_changes as
select
    note, at, subscription_id, customer_id, livemode, currency, seen_at, first, mrr_minor, parts, doubt,
    mrr_minor - coalesce(lag(mrr_minor) over (partition by livemode, customer_id, subscription_id order by note, at), 0)
        as change_minor
from (
    select
        *, min(noted_at) over (
            partition by livemode, customer_id, subscription_id order by note
            groups between 1 following and unbounded following
        ) as replaced_at
    from billing_mrr
) noted
where replaced_at is null or at < replaced_at;

create index billing_invoices_paid on billing_invoices (((snapshot -> 'status_transitions' ->> 'paid_at')::bigint))
where status = 'paid' and not deleted;
