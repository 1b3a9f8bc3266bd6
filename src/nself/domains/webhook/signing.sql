-- name: standing_refusals
-- Of deliveries since the last one that Stripe made and that was taken, by reason.
select
    min(code) as code, reason, (array_agg(skew order by id desc))[1] as skew,
    (array_agg(event_id order by id desc) filter (where event_id is not null))[1] as event_id,
    sum(times)::bigint as times, max(refused_at) as refused_at
from billing_webhook_refusals
where
    refused_at >= %(since)s and refused_at > coalesce((
        select max(received_at) from billing_webhook_events
        where received_at >= %(since)s and deliveries > 0 and type <> 'nself.test'
    ), '-infinity')
group by reason;

-- name: lock_endpoints
-- One at a time changes endpoints and secrets; who is killed lets go with its connection.
select pg_try_advisory_lock(hashtext('nself billing webhook endpoints'), 0);

-- name: unlock_endpoints
select pg_advisory_unlock(hashtext('nself billing webhook endpoints'), 0);
