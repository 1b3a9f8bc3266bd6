-- Links to a user's own page; the token itself is stored nowhere (docs/decisions/0041).
create table billing_page_links (
    hash bytea primary key,
    user_id text not null check (user_id <> ''),
    created_at timestamptz not null,
    expires_at timestamptz not null
);
create index billing_page_links_user on billing_page_links (user_id);
create index billing_page_links_expires on billing_page_links (expires_at);
