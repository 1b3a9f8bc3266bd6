-- People who use the dashboard, their one-time links and sessions (docs/decisions/0041).
create table billing_operators (
    name text primary key check (name ~ '^[a-z0-9][a-z0-9._@+-]{0,99}$'),
    role text not null check (role in ('owner', 'operator', 'support', 'read-only')),
    password bytea,
    totp text,
    totp_step bigint not null default 0,
    failures integer not null default 0,
    failed_at timestamptz,
    created_at timestamptz not null,
    signed_in_at timestamptz,
    check ((password is null) = (totp is null))
);
comment on column billing_operators.password is 'scrypt with its salt; null until the first link was used.';
comment on column billing_operators.totp_step is 'The newest time step whose code was taken: no code is taken twice.';

create table billing_operator_links (
    hash bytea primary key,
    name text not null references billing_operators (name) on delete cascade,
    expires_at timestamptz not null
);
create index billing_operator_links_name on billing_operator_links (name);

create table billing_operator_sessions (
    hash bytea primary key,
    name text not null references billing_operators (name) on delete cascade,
    csrf text not null,
    address text not null,
    created_at timestamptz not null,
    seen_at timestamptz not null,
    expires_at timestamptz not null
);
create index billing_operator_sessions_name on billing_operator_sessions (name);
create index billing_operator_sessions_expires on billing_operator_sessions (expires_at);
