-- Statements of quotas.

-- name: set_user
insert into billing_quotas (user_id, metric_type, limit_value, period, mode, updated_at)
values (%(user)s, %(metric)s, %(limit)s, %(period)s, %(mode)s, %(now)s)
on conflict (user_id, metric_type) do update
set limit_value = excluded.limit_value, period = excluded.period, mode = excluded.mode, updated_at = excluded.updated_at;

-- name: set_plan
insert into billing_plan_quotas (plan, metric_type, limit_value, period, mode, updated_at)
values (%(plan)s, %(metric)s, %(limit)s, %(period)s, %(mode)s, %(now)s)
on conflict (plan, metric_type) do update
set limit_value = excluded.limit_value, period = excluded.period, mode = excluded.mode, updated_at = excluded.updated_at;

-- name: limits
-- A user's own limit comes before that of the plan.
select distinct on (asked.user_id, quota.metric_type)
    asked.user_id as user, quota.metric_type as metric, quota.limit_value as limit, quota.period, quota.mode, quota.source
from unnest(%(users)s::text[]) as asked (user_id)
cross join lateral (
    select metric_type, limit_value, period, mode, 'user' as source, 1 as rank
    from billing_quotas where billing_quotas.user_id = asked.user_id
    union all
    select metric_type, limit_value, period, mode, 'plan ' || plan as source, 2 as rank
    from billing_plan_quotas where plan = %(plan)s
) quota
where %(metric)s::text is null or quota.metric_type = %(metric)s
order by asked.user_id, quota.metric_type, quota.rank;
