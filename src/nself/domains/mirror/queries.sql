-- Statements of the mirror.

-- name: draw_snapshot_numbers
select nextval('billing.snapshot_numbers') from generate_series(1, %(count)s);

-- name: lock_objects
-- Until the end of the transaction nobody else stores these objects; in one order, so that two do not wait crosswise.
select pg_advisory_xact_lock(hashtextextended(name, 0))
from unnest(%(names)s::text[]) as name
order by name;

-- name: stored
select
    kind, object_id as id, livemode, deleted, snapshot, snapshot_number as number, source, api_version,
    digest = '' or digest = md5(snapshot::text) as intact, synced_at
from billing_mirror
where kind = %(kind)s and object_id = any(%(ids)s::text[]);

-- name: known
select object_id from billing_mirror where kind = %(kind)s and object_id = any(%(ids)s::text[]);

-- name: keep
-- None of those where the stored picture has a higher number. A deletion takes a number that is drawn when it is stored: what
-- was asked for before does not bring the object back; what Stripe shows to who asks afterwards does, as we were mistaken.
insert into billing_objects as mirror (
    kind, object_id, livemode, deleted, snapshot, snapshot_number, source, api_version, digest, created_at, synced_at
)
select
    kind, id, livemode, deleted, snapshot,
    case when deleted then greatest(number, nextval('billing.snapshot_numbers')) else number end, source, api_version,
    md5(snapshot::text),
    coalesce(to_timestamp(created), now()), now()
from jsonb_to_recordset(%(rows)s) as given (
    kind text, id text, livemode boolean, deleted boolean, snapshot jsonb, number bigint, source text, api_version text,
    created bigint
)
on conflict (kind, object_id) do update set
    (deleted, snapshot, digest) = (
        select
            gone, case when gone then mirror.snapshot else excluded.snapshot end,
            case when gone then mirror.digest else excluded.digest end
        from (select excluded.deleted or mirror.deleted and excluded.snapshot_number <= mirror.snapshot_number as gone) standing
    ),
    snapshot_number = greatest(mirror.snapshot_number, excluded.snapshot_number),
    source = excluded.source, api_version = excluded.api_version, synced_at = now()
where mirror.snapshot_number <= excluded.snapshot_number or excluded.deleted or mirror.deleted;

-- name: record_changes
-- In the order in which they are given.
insert into billing_object_changes (kind, object_id, livemode, what, source, cause, snapshot_number, changes, changed_at)
select kind, id, livemode, what, source, cause, number, changes, %(now)s
from jsonb_to_recordset(%(rows)s) as given (
    kind text, id text, livemode boolean, what text, source text, cause text, number bigint, changes jsonb
);

-- name: changed_before
select object_id from billing_object_changes where object_id = any(%(ids)s::text[]) group by object_id having count(*) > 1;

-- name: watched_since
select changed_at from billing_object_changes where livemode = %(livemode)s order by id limit 1;

-- name: changes_of_customer
-- Newest first, of the customer and of all that is theirs.
select id, kind, object_id as object, what, source, cause, changes, changed_at
from (
    select object_id as theirs from billing_mirror where customer_id = %(customer)s
    union
    select %(customer)s
) objects
cross join lateral (
    select * from billing_object_changes
    where object_id = theirs and changed_at >= %(since)s
    order by billing_object_changes.id desc
    limit %(limit)s
) newest
order by id desc
limit %(limit)s;

-- name: changes
-- Oldest first; of the newest ones where there are more than the limit.
select id, kind, object, what, source, cause, changes, changed_at
from (
    select id, kind, object_id as object, what, source, cause, changes, changed_at
    from billing_object_changes
    where object_id = %(id)s
    order by billing_object_changes.id desc
    limit %(limit)s
) newest
order by id;
