-- Statements of operators' accounts.

-- name: add
insert into billing_operators (name, role, created_at) values (%(name)s, %(role)s, %(at)s)
on conflict (name) do nothing
returning name;

-- name: account
select name, role, password, totp, totp_step, failures, failed_at from billing_operators where name = %(name)s;

-- name: hold
-- Wrong answers are counted one after the other, and a code is taken once.
select name, role, password, totp, totp_step, failures, failed_at from billing_operators where name = %(name)s
for no key update;

-- name: add_link
-- A newer link ends the older ones.
with ended as (delete from billing_operator_links where name = %(name)s)

insert into billing_operator_links (hash, name, expires_at) values (%(hash)s, %(name)s, %(expires_at)s);

-- name: linked
select name from billing_operator_links where hash = %(hash)s and expires_at > %(at)s;

-- name: use_link
delete from billing_operator_links where hash = %(hash)s and expires_at > %(at)s returning name;

-- name: enrol
update billing_operators
set password = %(password)s, totp = %(totp)s, totp_step = %(step)s, failures = 0, failed_at = null
where name = %(name)s;

-- name: fail
update billing_operators set failures = failures + 1, failed_at = %(at)s where name = %(name)s;

-- name: signed_in
update billing_operators
set failures = 0, failed_at = null, totp_step = %(step)s, signed_in_at = %(at)s
where name = %(name)s;

-- name: took_code
update billing_operators set failures = 0, failed_at = null, totp_step = %(step)s where name = %(name)s;

-- name: add_session
with over as (delete from billing_operator_sessions where expires_at < %(at)s)

insert into billing_operator_sessions (hash, name, csrf, address, created_at, seen_at, expires_at)
values (%(hash)s, %(name)s, %(csrf)s, %(address)s, %(at)s, %(at)s, %(expires_at)s);

-- name: session
select person.name, person.role, held.csrf, held.expires_at
from billing_operator_sessions held
join billing_operators person on person.name = held.name
where held.hash = %(hash)s and held.expires_at > %(at)s and held.seen_at > %(idle)s;

-- name: seen
-- Written once a minute at most, and never waited for.
update billing_operator_sessions set seen_at = %(at)s
where hash = (
    select hash from billing_operator_sessions where hash = %(hash)s and seen_at < %(due)s for no key update skip locked
);

-- name: end_session
delete from billing_operator_sessions where hash = %(hash)s;

-- name: end_sessions
with ended as (delete from billing_operator_sessions where name = %(name)s returning hash)

select count(*) from ended;

-- name: list
select
    person.name, person.role, person.password is not null as enrolled,
    (
        select count(*) from billing_operator_sessions held
        where held.name = person.name and held.expires_at > %(at)s and held.seen_at > %(idle)s
    ) as sessions,
    person.created_at, person.signed_in_at
from billing_operators person
order by person.name;

-- name: other_owners
-- All are held in one order until the end, so that of two owners who leave at once the second sees that the first is gone.
select count(*) filter (where held.name <> %(name)s) from (
    select name from billing_operators where role = 'owner' order by name for update
) held;

-- name: set_role
update billing_operators set role = %(role)s where name = %(name)s returning name;

-- name: remove
delete from billing_operators where name = %(name)s returning role;
