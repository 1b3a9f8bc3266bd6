-- Objects of Stripe that change rarely (docs/decisions/0037). A crash may empty it: it only spares calls.
create unlogged table billing_cache (
    key text primary key,
    value text not null,
    expires_at timestamptz not null
);
