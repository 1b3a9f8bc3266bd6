-- Keys of the HTTP API: the id is public, the secret is stored as its SHA-256 (it is random: no slow hash is needed).
create table billing_api_keys (
    key_id text primary key check (key_id ~ '^[0-9A-Za-z]{8}$'),
    name text not null,
    livemode boolean not null,
    scopes text[] not null check (cardinality(scopes) > 0),
    secret_hash bytea not null check (octet_length(secret_hash) = 32),
    created_at timestamptz not null,
    last_used_at timestamptz,
    revoked_at timestamptz
);
create index billing_api_keys_created on billing_api_keys (created_at, key_id);
