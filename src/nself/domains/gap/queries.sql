-- Statements of gaps. What is read of a user carries the user (scale.md).

-- name: minutes
select
    metric_type as metric, date_bin('1 minute', created_at, '1970-01-01Z') as at, count(*) as events,
    min(created_at) as first_at, max(created_at) as last_at
from billing_usage
where
    user_id = %(user)s and created_at >= %(start)s and created_at < %(end)s
    and (%(metric)s::text is null or metric_type = %(metric)s)
group by 1, 2
order by 1, 2;

-- name: rejected
-- Those in which the user's name stands; whose they are is read from them.
select code, event, rejected_at
from billing_usage_rejected
where strpos(event, %(user)s) > 0 and rejected_at >= %(start)s
order by id
limit %(limit)s;

-- name: stored
select metric_type as metric, value, idempotency_key as key, floor(extract(epoch from created_at))::bigint as second
from billing_usage
where user_id = %(user)s and created_at >= %(start)s and created_at < %(end)s;

-- name: lock_user
-- Two reconstructions of a user take turns.
select pg_advisory_xact_lock(hashtext('billing_usage_reconstructions'), hashtext(%(user)s));

-- name: imported
select path, format, count_metric, bytes_metric, origin from billing_usage_imports order by started_at, source;

-- name: add_reconstruction
insert into billing_usage_reconstructions (
    user_id, period_start, period_end, sources, in_log, missing, recorded, invoiced, actor, reason, reconstructed_at
)
values (
    %(user)s, %(period_start)s, %(period_end)s, %(sources)s, %(in_log)s, %(missing)s, %(recorded)s, %(invoiced)s, %(actor)s,
    %(reason)s, %(reconstructed_at)s
);

-- name: reconstructed
-- Of a user, or of all: what logs were read for since.
select user_id as user, period_start, period_end, reconstructed_at
from billing_usage_reconstructions
where reconstructed_at >= %(since)s and (%(user)s::text is null or user_id = %(user)s)
order by id;
