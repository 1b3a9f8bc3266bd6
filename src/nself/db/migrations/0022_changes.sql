-- What Stripe refused for good, as it said it: whoever asks later is told the same.
alter table billing_intents add column failure jsonb;

-- What operators decide of users' access; the newest row of a user holds (docs/decisions/0028).
create table billing_access (
    id bigint generated always as identity,
    user_id text not null,
    access text not null check (access in ('granted', 'revoked')),
    reason text not null,
    actor text not null,
    changed_at timestamptz not null,
    until timestamptz not null,
    primary key (user_id, id)
);
