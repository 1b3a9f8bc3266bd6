-- Statements of customers.

-- name: known_users
select id from auth.users where id = any(%(users)s::text[]);

-- name: emails
select id as user, email from auth.users where id = any(%(users)s::text[]) and email <> '';

-- name: add_users
insert into auth.users (id, email)
select id, email from unnest(%(users)s::text[], %(emails)s::text[]) as given (id, email)
on conflict do nothing;

-- name: of_user
select
    customer_id as id, user_id as user, email, name, balance_minor, currency, default_payment_method, trial_used, livemode,
    deleted, created_at, synced_at
from billing_customers
where user_id = %(user)s and livemode = %(livemode)s and not deleted;

-- name: of_users
select user_id as user, customer_id as id
from billing_customers
where user_id = any(%(users)s::text[]) and livemode = %(livemode)s and not deleted;

-- name: users_of
select user_id as user, customer_id as id
from billing_customers
where customer_id = any(%(customers)s::text[]) and user_id is not null;

-- name: deleted_of_users
select user_id as user, count(*) as count
from billing_customers
where user_id = any(%(users)s::text[]) and livemode = %(livemode)s and deleted
group by user_id;

-- name: by_id
select
    customer_id as id, user_id as user, email, name, balance_minor, currency, default_payment_method, trial_used, livemode,
    deleted, created_at, synced_at
from billing_customers
where customer_id = %(customer)s;

-- name: list
select
    customer_id as id, user_id as user, email, name, balance_minor, currency, default_payment_method, trial_used, livemode,
    deleted, created_at, synced_at
from billing_customers
join (
    -- All that decides is in one index, so that a search reads no customer that it does not find.
    select customer_id
    from billing_customers
    where
        livemode = %(livemode)s and not deleted and (%(user)s::text is null or user_id = %(user)s)
        and (%(search)s::text is null or strpos(found_by, lower(%(search)s)) > 0)
    order by created_at desc, customer_id
    limit %(limit)s offset %(offset)s
) found using (customer_id)
order by created_at desc, customer_id;

-- name: count_live
select count(*) from billing_customers where livemode and not deleted;

-- name: owners
-- The address for bills is the customer's; the user's own where it has none. One without a user may be another program's.
select
    customer_id as customer, user_id as user,
    case when user_id is not null then coalesce(nullif(billing_customers.email, ''), nullif(users.email, '')) end as email,
    coalesce(default_payment_method, snapshot ->> 'default_source') is not null as can_pay
from billing_customers left join auth.users on users.id = user_id
where customer_id = any(%(customers)s::text[]);

-- name: use_trial
update billing_customers set trial_used = true where customer_id = any(%(customers)s::text[]) and not trial_used;

-- name: set_email
update auth.users set email = %(email)s where id = %(user)s and email is distinct from %(email)s;

-- name: had_trial
-- Also with a customer of the same user that was deleted since.
select exists (
    select from billing_customers mine join billing_customers other
        on other.customer_id = mine.customer_id or (other.user_id = mine.user_id and other.livemode = mine.livemode)
    where mine.customer_id = %(customer)s and other.trial_used
);

-- name: lock_users
-- Who gets these users, and those whom these customers have, is decided by one after the other.
select name, pg_advisory_xact_lock(hashtextextended('link ' || name, 0))
from (
    select unnest(%(users)s::text[])
    union
    select user_id from billing_customers where customer_id = any(%(customers)s::text[]) and user_id is not null
) as given (name)
order by name;

-- name: upsert
-- Stripe owns everything but user_id, which is ours. A user has one customer: only one whom nobody has is given here. One that
-- is not deleted after all leaves its user to who has it by now.
insert into billing_customers as mirror (
    customer_id, user_id, livemode, snapshot, snapshot_number, source, api_version, digest, created_at, synced_at
)
select
    id,
    case when row_number() over (partition by given.user order by id) = 1 and not exists (
        select from billing_customers other
        where other.user_id = given.user and other.livemode = given.livemode and not other.deleted and other.customer_id <> given.id
    ) then given.user end,
    livemode, snapshot, number, source, api_version, md5(snapshot::text), to_timestamp(created), now()
from jsonb_to_recordset(%(rows)s) as given (
    id text, "user" text, livemode boolean, snapshot jsonb, number bigint, source text, api_version text, created bigint
)
on conflict (customer_id) do update set
    user_id = case
        when mirror.deleted and exists (
            select from billing_customers other
            where other.user_id = mirror.user_id and other.livemode = mirror.livemode and not other.deleted
        ) then excluded.user_id
        else coalesce(mirror.user_id, excluded.user_id)
    end,
    deleted = mirror.deleted and mirror.snapshot_number = excluded.snapshot_number,
    snapshot = excluded.snapshot, digest = excluded.digest, snapshot_number = excluded.snapshot_number,
    source = excluded.source, api_version = excluded.api_version, synced_at = now()
where mirror.snapshot_number <= excluded.snapshot_number
returning customer_id as id, user_id as user;

-- name: entitled
-- Of the living customers that have a user or bear its name and have none, the one that the user belongs to where it does
-- not have it yet. In any order of arrival it is the same one: the one that an operator linked, the one that has the user
-- by another word than its name, the one that was made from here, the oldest.
select customer_id as id, "user"
from (
    select distinct on (wanted.user) wanted.user, claimant.customer_id, claimant.user_id
    from unnest(%(users)s::text[]) as wanted ("user")
    join billing_customers claimant on
        claimant.user_id = wanted.user
        or claimant.user_id is null and claimant.snapshot -> 'metadata' ->> 'nself_user' = wanted.user
    where claimant.livemode = %(livemode)s and not claimant.deleted
    order by
        wanted.user,
        claimant.customer_id = (
            select link.customer_id from billing_customer_links link
            where link.user_id = wanted.user and link.livemode = %(livemode)s
            order by link.id desc
            limit 1
        ) desc nulls last,
        claimant.snapshot -> 'metadata' ->> 'nself_user' is distinct from wanted.user desc,
        claimant.snapshot -> 'metadata' ->> 'nself_intent' is not null desc,
        claimant.created_at, claimant.customer_id
) entitled
where user_id is null;

-- name: take
-- Locked in one order, so that two who link crosswise come one after the other.
with locked as (
    select customer_id from billing_customers
    where livemode = %(livemode)s and (customer_id = %(customer)s or (user_id = %(user)s and not deleted))
    order by customer_id
    for update
)
update billing_customers set user_id = null
where customer_id in (select customer_id from locked) and customer_id <> %(customer)s;

-- name: give
update billing_customers set user_id = %(user)s where customer_id = %(customer)s;

-- name: mark_deleted
-- Its number is drawn now, so that no picture that was asked for before brings it to life, also not one that was never seen alive.
insert into billing_customers as mirror (
    customer_id, user_id, livemode, deleted, snapshot, snapshot_number, source, api_version, digest, created_at, synced_at
)
values (
    %(id)s, %(user)s, %(livemode)s, true, %(snapshot)s, greatest(%(number)s, nextval('billing.snapshot_numbers')), %(source)s,
    %(api_version)s, md5(%(snapshot)s::jsonb::text), now(), now()
)
on conflict (customer_id) do update set
    user_id = coalesce(mirror.user_id, excluded.user_id), deleted = true, source = excluded.source,
    snapshot_number = greatest(mirror.snapshot_number, excluded.snapshot_number), synced_at = now();

-- name: with_emails
select array[email, min(customer_id)]
from billing_customers
where email = any(%(addresses)s::text[]) and livemode = %(livemode)s and not deleted
group by email;

-- name: refused_trials
-- Newest first: trials that an app asked for and did not get, and that nobody has given since.
select refused.customer_id as customer, coalesce(refused.price_id, '') as price, refused.made_at as at
from billing_subscription_requests refused
where refused.failure = 'trial_used' and refused.livemode = %(livemode)s and refused.made_at >= %(since)s
    and (%(customer)s::text is null or refused.customer_id = %(customer)s)
    and not exists (
        select from billing_subscription_requests later
        where later.customer_id = refused.customer_id and later.made_at > refused.made_at and later.failure is null
            and later.trial_end is not null
    )
order by refused.made_at desc
limit %(limit)s;
