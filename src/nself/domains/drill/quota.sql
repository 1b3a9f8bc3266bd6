-- Damage to quotas that only a hand in the database can do.

-- name: restore_counters
-- As a dump that was read back would: counters of before the last reset.
update billing_quota_counters counter
set stale = false, counted_from = window_start, used = given.used
from (select %(used)s::numeric as used) given
where counter.user_id = %(user)s and counter.metric_type = %(metric)s and window_start <= now() and now() < window_end;

-- name: lose_job
delete from billing_jobs where type = %(type)s and state in ('queued', 'running');

-- name: move_counters_away
alter table billing_quota_counters rename to billing_quota_counters_away;

-- name: move_counters_back
alter table billing_quota_counters_away rename to billing_quota_counters;

-- name: lock_counters
lock table billing_quota_counters in access exclusive mode;

-- name: restore_plan
-- As a dump that was read back would: counters of the plan that is over.
update billing_quota_counters set stale = false, limit_value = %(limit)s, source = 'plan ' || %(plan)s::text
where user_id = %(user)s and metric_type = %(metric)s and window_start <= now() and now() < window_end;
