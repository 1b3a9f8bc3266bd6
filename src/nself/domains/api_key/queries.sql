-- Statements of the API keys.

-- name: add
-- Nothing comes back where the id is taken: the caller draws another one.
insert into billing_api_keys (key_id, name, livemode, scopes, user_id, secret_hash, created_at)
values (%(key_id)s, %(name)s, %(livemode)s, %(scopes)s::text[], %(user)s, %(secret_hash)s, %(at)s)
on conflict (key_id) do nothing
returning key_id;

-- name: find
select key_id, name, livemode, scopes, user_id as user, secret_hash, last_used_at, revoked_at
from billing_api_keys
where key_id = %(key_id)s;

-- name: mark_used
-- Never waits for another process that marks the same key, nor goes back in time.
update billing_api_keys set last_used_at = %(at)s
where key_id = (
    select key_id from billing_api_keys
    where key_id = %(key_id)s and (last_used_at is null or last_used_at < %(at)s)
    for no key update skip locked
);

-- name: list
select
    key_id as id, name, case when livemode then 'live' else 'test' end as mode, scopes, user_id as user,
    created_at, last_used_at, revoked_at
from billing_api_keys
where
    (%(revoked)s or revoked_at is null)
    and (
        %(after)s::text is null
        or (created_at, key_id) > (select place.created_at, place.key_id from billing_api_keys place where place.key_id = %(after)s)
    )
order by created_at, key_id
limit %(limit)s;

-- name: revoke
-- The first time counts.
update billing_api_keys set revoked_at = coalesce(revoked_at, %(at)s)
where key_id = %(key_id)s
returning key_id as id, name, revoked_at;
