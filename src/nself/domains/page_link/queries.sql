-- Statements of links to users' pages.

-- name: add
with over as (delete from billing_page_links where expires_at < %(at)s)

insert into billing_page_links (hash, user_id, created_at, expires_at) values (%(hash)s, %(user)s, %(at)s, %(expires_at)s);

-- name: user
select user_id from billing_page_links where hash = %(hash)s and expires_at > %(at)s;

-- name: revoke
with gone as (delete from billing_page_links where user_id = %(user)s returning hash)

select count(*) from gone;
