-- Changes of subscriptions that were previewed: what was shown is what is applied (docs/decisions/0026).
create table billing_change_previews (
    token text primary key,
    subscription_id text not null,
    item_id text not null,
    price_id text not null,
    quantity bigint not null,
    behavior text not null,
    proration_date timestamptz not null,
    state jsonb not null,
    livemode boolean not null,
    made_at timestamptz not null
);
create index billing_change_previews_newest on billing_change_previews (subscription_id, made_at);

-- Plans that an operator gave for free where a subscription could not be paid.
create table billing_comps (
    id bigint generated always as identity primary key,
    subscription_id text not null,
    livemode boolean not null,
    reason text not null,
    actor text not null,
    given_at timestamptz not null,
    until timestamptz not null
);
create index billing_comps_subscription on billing_comps (subscription_id, until);
