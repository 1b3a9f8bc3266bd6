-- Statements of checks.

-- name: rows_by_mode
select count(*) filter (where livemode) as live, count(*) filter (where not livemode) as test
from (
    select livemode from billing_customers where not deleted
    union all select livemode from billing_subscriptions where not deleted
    union all select livemode from billing_invoices where not deleted
    union all select livemode from billing_payments where not deleted
) stored;

-- name: forget_quota
delete from billing_quotas where user_id = %(user)s;

-- name: forget_counters
delete from billing_quota_counters where user_id = %(user)s;
