-- Statements of synchronisation. Leases are measured by the database's own clock.

-- name: add_run
insert into billing_sync_runs (
    purpose, livemode, heal, kinds, created_from, created_to, batch_size, actor, worker, lease_until, started_at, moved_at
)
values (
    %(purpose)s, %(livemode)s, %(heal)s, %(kinds)s, %(created_from)s, %(created_to)s, %(batch_size)s, %(actor)s, %(worker)s,
    now() + %(lease)s::interval, %(now)s, %(now)s
)
returning id;

-- name: run
select
    id, purpose, livemode, heal, kinds, created_from, created_to, batch_size, state, kind_number, page_after, page_bound, pages,
    checked, totals, actor, worker, fence, lease_until > now() as leased, started_at, moved_at, finished_at, error
from billing_sync_runs
where id = %(id)s;

-- name: newest_run
-- Of these purposes and states.
select id
from billing_sync_runs
where purpose = any(%(purposes)s::text[]) and state = any(%(states)s::text[]) and livemode = %(livemode)s
order by id desc
limit 1;

-- name: lock_purpose
-- Two that begin a run of one purpose come one after the other.
select pg_advisory_xact_lock(hashtextextended('sync ' || %(purpose)s::text, 0));

-- name: take_run
-- Whoever had it can record nothing any more.
update billing_sync_runs
set
    state = 'running', worker = %(worker)s, fence = fence + 1, lease_until = now() + %(lease)s::interval, moved_at = %(now)s,
    error = null, finished_at = null
where id = %(id)s and fence = %(fence)s;

-- name: give_up
update billing_sync_runs
set state = 'stopped', finished_at = %(now)s, error = 'another run of the same kind was begun', fence = fence + 1
where purpose = %(purpose)s and livemode = %(livemode)s and state in ('running', 'stopped') and id <> %(id)s;

-- name: move_run
update billing_sync_runs
set
    kind_number = %(kind_number)s, page_after = %(page_after)s, page_bound = %(page_bound)s, pages = pages + %(pages)s,
    checked = checked + %(checked)s, totals = %(totals)s, moved_at = %(now)s, lease_until = now() + %(lease)s::interval,
    error = null
where id = %(id)s and fence = %(fence)s and state = 'running';

-- name: end_run
update billing_sync_runs
set state = %(state)s, finished_at = %(now)s, error = %(error)s, lease_until = now()
where id = %(id)s and fence = %(fence)s;

-- name: rest_run
-- It goes on later, by whoever comes first.
update billing_sync_runs set lease_until = now() where id = %(id)s and fence = %(fence)s;

-- name: ever_complete
select exists (
    select from billing_sync_runs
    where state = 'done' and heal and livemode = %(livemode)s and created_from is null and created_to is null
        and kinds @> %(kinds)s::text[]
);

-- name: newest_complete
-- The last run that compared all objects of all kinds.
select id from billing_sync_runs
where
    state = 'done' and livemode = %(livemode)s and created_from is null and created_to is null and kinds @> %(kinds)s::text[]
order by finished_at desc, id desc
limit 1;

-- name: not_listed
-- Objects that must be among those that Stripe lists, made after `bound` and up to `before`, and were not.
select object_id
from billing_mirror
where
    kind = %(kind)s and livemode = %(livemode)s and not deleted and not object_id = any(%(listed)s::text[])
    and created_at > coalesce(%(bound)s::timestamptz, '-infinity') and created_at <= coalesce(%(before)s::timestamptz, 'infinity')
    and created_at >= coalesce(%(created_from)s::timestamptz, '-infinity')
    and created_at < coalesce(%(created_to)s::timestamptz, 'infinity');

-- name: not_listed_of
-- The same of all that is these customers', found by them and not by when it was made.
select object_id
from billing_mirror
where
    kind = %(kind)s and livemode = %(livemode)s and not deleted and not object_id = any(%(listed)s::text[])
    and customer_id = any(%(customers)s::text[])
    and (%(created_from)s::timestamptz is null or created_at >= %(created_from)s)
    and (%(created_to)s::timestamptz is null or created_at < %(created_to)s);

-- name: next_customers
-- Of those that are gone only those of whom something is left that Stripe lists no more.
select customer_id
from billing_customers
where
    livemode = %(livemode)s
    and (
        not deleted or exists (
            select from billing_mirror
            where
                billing_mirror.customer_id = billing_customers.customer_id
                and billing_mirror.kind = %(kind)s and not billing_mirror.deleted
        )
    )
    and customer_id > coalesce(%(after)s::text, '')
    and (%(created_from)s::timestamptz is null or created_at >= %(created_from)s)
    and (%(created_to)s::timestamptz is null or created_at < %(created_to)s)
order by customer_id
limit %(limit)s;

-- name: evidence
-- One look at the changes and one at the events of each, whatever the planner thinks of their number. What failed before the
-- object was last changed here is made up for.
select given.id, event.failed, event.missed, event.waiting, change.number, change.count > 0 or event.processed > 0 as known
from unnest(%(ids)s::text[]) as given (id)
cross join lateral (
    select max(snapshot_number) as number, count(*) as count, max(changed_at) as at
    from billing_object_changes
    where object_id = given.id
) change
cross join lateral (
    select
        (
            array_agg(event_id || ': ' || coalesce(error, status) order by id desc)
            filter (
                where status in ('failed', 'failed_permanent', 'parked')
                    and coalesce(claimed_at, received_at) >= coalesce(change.at, '-infinity')
            )
        )[1] as failed,
        (array_agg(event_id order by id desc) filter (where status = 'received' and source = 'poll'))[1] as missed,
        (array_agg(event_id order by id desc) filter (where status = 'received'))[1] as waiting,
        count(*) filter (where status = 'processed') as processed
    from billing_webhook_events
    where object_id = given.id
) event;

-- name: add_differences
insert into billing_sync_differences (
    run_id, kind, object_id, cause, detail, action, money, changes, state, error, found_at, healed_at
)
select
    %(run)s, kind, id, cause, detail, action, money, changes, %(state)s, %(error)s, %(now)s,
    case when %(state)s::text = 'healed' then %(now)s::timestamptz end
from jsonb_to_recordset(%(rows)s) as given (
    kind text, id text, cause text, detail text, action text, money boolean, changes jsonb
)
on conflict (run_id, kind, object_id) do update set
    cause = excluded.cause, detail = excluded.detail, action = excluded.action, money = excluded.money, changes = excluded.changes,
    state = excluded.state, error = excluded.error, healed_at = excluded.healed_at;

-- name: differences
select
    run_id as run, kind, object_id as object, cause, detail, action, money, state, changes, error, found_at, healed_at
from billing_sync_differences
where run_id = %(run)s and (%(cause)s::text is null or cause = %(cause)s)
order by kind, object_id
limit %(limit)s;

-- name: difference_counts
select cause, state, count(*) as count
from billing_sync_differences
where run_id = %(run)s
group by cause, state;

-- name: healed_since
select cause as name, count(*) as count
from billing_sync_differences
where state = 'healed' and healed_at >= %(since)s
group by cause;

-- name: sums_here
-- Of what was compared, in minor units. Each snapshot is unpacked once.
select
    kind || ' ' || summed.field || ' ' || coalesce(told.currency, 'None') as name,
    sum(coalesce(summed.amount, 0))::bigint as count
from billing_mirror
cross join lateral jsonb_to_record(snapshot) as told (
    currency text, total bigint, amount_paid bigint, amount_received bigint, amount bigint
)
cross join lateral (values
    ('total', told.total), ('amount_paid', told.amount_paid), ('amount_received', told.amount_received), ('amount', told.amount)
) as summed (field, amount)
where
    kind = %(kind)s and livemode = %(livemode)s and not deleted and status is distinct from 'draft'
    and summed.field = any(%(fields)s::text[])
    and (%(created_from)s::timestamptz is null or created_at >= %(created_from)s)
    and (%(created_to)s::timestamptz is null or created_at < %(created_to)s)
group by 1;

-- name: mirrored
select kind as name, count(*) as count
from billing_mirror
where
    livemode = %(livemode)s and not deleted
    and (%(created_from)s::timestamptz is null or created_at >= %(created_from)s)
    and (%(created_to)s::timestamptz is null or created_at < %(created_to)s)
group by kind;

-- name: mirrored_about
-- The same of all times; more of a kind than `%(most)s` are estimated, as the planner does it, with those that are deleted.
select
    given.kind as name, case when seen.count > %(most)s then greatest(seen.count, tables.rows) else seen.count end as count
from unnest(%(kinds)s::text[]) as given (kind)
join (
    select 'customer' as kind, reltuples::bigint as rows from pg_class where oid = 'billing_customers'::regclass
    union all
    select 'invoice', reltuples::bigint from pg_class where oid = 'billing_invoices'::regclass
    union all
    select substring(pg_get_expr(relpartbound, oid) from '''(.*)'''), reltuples::bigint
    from pg_inherits join pg_class on oid = inhrelid
    where inhparent = 'billing_objects'::regclass
) tables using (kind)
cross join lateral (
    select count(*)
    from (
        select from billing_mirror
        where billing_mirror.kind = given.kind and livemode = %(livemode)s and not deleted
        limit %(most)s + 1
    ) found
) seen
where seen.count > 0;

-- name: events_open
-- Each half has an index of its own.
select
    count(*) filter (where status = 'received') as waiting, count(*) filter (where status <> 'received') as failed
from (
    select status from billing_webhook_events where status in ('received', 'failed')
    union all
    select status from billing_webhook_events where status = 'failed_permanent'
) undone;

-- name: event_states
-- What the events of an object said it was, by the time that Stripe gave them; not those of what is part of it.
select event, type, at, snapshot
from (
    select
        id, event_id as event, type, event_created_at as at,
        regexp_replace(payload, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g')::jsonb -> 'data' -> 'object' as snapshot
    from billing_webhook_events
    where object_id = %(id)s and status <> 'duplicate'
) said
where snapshot ->> 'id' = %(id)s
order by at, id;

-- name: objects_of_customer
select kind, object_id as id
from billing_mirror
where customer_id = %(customer)s and not deleted and kind <> 'customer'
order by kind, object_id;

-- name: tampered
select kind, object_id as object, synced_at
from billing_mirror
where digest <> '' and digest <> md5(snapshot::text) and livemode = %(livemode)s
order by kind, object_id
limit %(limit)s;

-- name: other_mode
select kind, object_id as object, synced_at
from billing_mirror
where livemode <> %(livemode)s
order by kind, object_id
limit %(limit)s;

-- name: without_customer
-- Objects of a customer that is not here, or is gone while they live on.
select object.kind, object.object_id as object, object.customer_id as customer, customer.deleted is not null as gone
from billing_mirror object
left join billing_customers customer on customer.customer_id = object.customer_id
where
    object.livemode = %(livemode)s and not object.deleted and object.customer_id is not null and object.kind <> 'customer'
    and (
        customer.customer_id is null
        or customer.deleted and object.kind = 'subscription' and object.status not in ('canceled', 'incomplete_expired')
    )
order by object.kind, object.object_id
limit %(limit)s;

-- name: without_user
select customer_id as object, email as customer
from billing_customers
where livemode = %(livemode)s and not deleted and user_id is null
order by created_at desc, customer_id
limit %(limit)s;

-- name: claimed_twice
-- Customers that bear the name of a user who belongs to another one, and why to that.
select
    mirror.customer_id as object, holder.user_id as customer,
    holder.customer_id || ', ' || case
        when holder.customer_id = (
            select link.customer_id from billing_customer_links link
            where link.user_id = holder.user_id and link.livemode = holder.livemode
            order by link.id desc
            limit 1
        ) then 'which an operator linked'
        when holder.snapshot -> 'metadata' ->> 'nself_user' is distinct from holder.user_id then 'which had the user before'
        when holder.snapshot -> 'metadata' ->> 'nself_intent' is not null then 'which was made from here'
        else 'which is older'
    end as holder
from billing_customers mirror
join billing_customers holder on
    holder.user_id = mirror.snapshot -> 'metadata' ->> 'nself_user' and holder.livemode = mirror.livemode and not holder.deleted
where mirror.livemode = %(livemode)s and not mirror.deleted and mirror.user_id is null
order by mirror.customer_id
limit %(limit)s;

-- name: failed_objects
select object_kind as kind, object_id as object, max(event_id || ': ' || coalesce(error, status)) as customer
from billing_webhook_events
where status in ('failed', 'failed_permanent') and livemode = %(livemode)s
group by object_kind, object_id
order by object_id
limit %(limit)s;

-- name: record_link
-- Unless it is what was said last.
insert into billing_customer_links (customer_id, user_id, before_user_id, livemode, actor, reason, linked_at)
select %(customer)s, %(user)s, %(before)s, %(livemode)s, %(actor)s, %(reason)s, %(now)s
where %(customer)s is distinct from (
    select customer_id from billing_customer_links where user_id = %(user)s and livemode = %(livemode)s order by id desc limit 1
);
