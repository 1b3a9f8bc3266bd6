-- What shows root causes of issues 5.1 to 5.3.

-- name: contrary_limits
-- Users' own limits that say something else than a plan's of the same metric; whose plan it is the caller knows.
select
    own.user_id as user, own.metric_type as metric, own.limit_value as limit, own.period, plan.plan,
    plan.limit_value as plan_limit, plan.period as plan_period
from billing_quotas own
join billing_plan_quotas plan using (metric_type)
where
    plan.limit_value > 0
    and (
        own.period <> plan.period or own.limit_value <= 0 or own.limit_value >= plan.limit_value * %(times)s::numeric
        or own.limit_value * %(times)s::numeric <= plan.limit_value
    )
order by own.updated_at desc
limit %(limit)s;

-- name: limited_metrics
-- Metrics that have limits, with the number of limits and one user who has one, empty where only plans have.
select metric_type as metric, count(*) as limits, coalesce(max(user_id), '') as user
from (
    select metric_type, user_id from billing_quotas where limit_value >= 0
    union all
    select metric_type, null from billing_plan_quotas where limit_value >= 0
) quota
group by metric_type
order by metric_type;

-- name: exceeded
-- Hard limits that more was used of than they and what was granted on top allow, in windows of now.
select
    counter.user_id as user, counter.metric_type as metric, used::bigint as used, counter.limit_value as limit, counted_from,
    window_end, coalesce(exceeded_at, %(now)s) as exceeded_at, own.updated_at as set_at
from billing_quota_counters counter
left join billing_quotas own on own.user_id = counter.user_id and own.metric_type = counter.metric_type and counter.source = 'user'
where
    not stale and window_start <= %(now)s and %(now)s < window_end and counter.mode = 'hard' and counter.limit_value >= 0
    and used > counter.limit_value + case when extra_until > %(now)s then extra else 0 end
order by used - counter.limit_value desc
limit %(limit)s;

-- name: left_counters
-- Counters in use that contradict what they were made from: a reset since, a limit that is another one, a block that is lifted.
select counter.user_id as user, counter.metric_type as metric, said.text
from billing_quota_counters counter
left join billing_quotas own on own.user_id = counter.user_id and own.metric_type = counter.metric_type
left join (
    select user_id, metric_type, max(reset_at) as reset_at from billing_quota_resets
    where reset_at > %(now)s::timestamptz - interval '32 days' and reset_at <= %(now)s
    group by user_id, metric_type
) reset on reset.user_id = counter.user_id and reset.metric_type in (counter.metric_type, '*') and reset.reset_at > counter.counted_from
cross join lateral (
    select case
        when reset.reset_at > counter.counted_from
            then format('counts from %%s although it was reset at %%s', counter.counted_from, reset.reset_at)
        when counter.source = 'user' and (own.limit_value, own.period, own.mode) is distinct from (counter.limit_value, counter.period, counter.mode)
            then format('keeps a limit of %%s a %%s, not %%s a %%s', counter.limit_value, counter.period, own.limit_value, own.period)
        when counter.blocked_until > %(now)s and counter.block_reason not like 'access revoked: %%'
            and counter.block_reason <> %(unsubscribed)s
            and not exists (select from billing_quota_blocks where user_id = counter.user_id and expires_at > %(now)s)
            then format('keeps a block (%%s) that was lifted', counter.block_reason)
    end as text
) said
where not counter.stale and counter.window_start <= %(now)s and %(now)s < counter.window_end and said.text is not null
order by counter.user_id, counter.metric_type
limit %(limit)s;

-- name: locked
-- Who keeps quotas from being written: sessions that hold a strong lock on their tables for a while.
select
    activity.pid, coalesce(activity.application_name, '') as application, coalesce(activity.state, '') as state,
    extract(epoch from clock_timestamp() - activity.xact_start)::integer as seconds, class.relname as table, lock.mode
from pg_locks lock
join pg_class class on class.oid = lock.relation
join pg_stat_activity activity on activity.pid = lock.pid
where
    lock.locktype = 'relation' and lock.granted and class.relname like 'billing\_quota%%' and class.relkind = 'r'
    and lock.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    and activity.xact_start < clock_timestamp() - make_interval(secs => %(seconds)s)
order by activity.xact_start
limit 1;

-- name: counted_after_end
-- Counters in use of users of whom a subscription ended, but for limits of their own; newest end first.
select counter.user_id as user, counter.metric_type as metric, counter.source, counter.block_reason = %(unsubscribed)s as shut
from (
    select customer.user_id, max((subscription.snapshot ->> 'ended_at')::bigint) as at
    from billing_subscriptions subscription
    join billing_customers customer using (customer_id)
    where subscription.status = 'canceled' and subscription.livemode = %(livemode)s and not subscription.deleted
        and (subscription.snapshot ->> 'ended_at')::bigint > extract(epoch from %(since)s::timestamptz)
        and (%(user)s::text is null or customer.user_id = %(user)s)
    group by customer.user_id
) ended
join billing_quota_counters counter using (user_id)
where not counter.stale and counter.source <> 'user' and counter.window_start <= %(now)s and %(now)s < counter.window_end
order by ended.at desc, counter.user_id, counter.metric_type
limit %(limit)s;

-- name: subscribers
-- Users of subscriptions, also of those that are over; of one, or of all.
select distinct subscription.object_id as subscription, customer.user_id as user
from billing_subscriptions subscription
join billing_customers customer using (customer_id)
where customer.user_id is not null and (%(subscription)s::text is null or subscription.object_id = %(subscription)s);
