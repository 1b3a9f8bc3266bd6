-- Statements that show root causes: they look at what was recorded last, so that they stay fast however much there is.

-- name: silent_users
-- Of the newest events: users that sent steadily before a time, something after it, and nothing in it.
with events as (
    select user_id, created_at from billing_usage
    where
        recorded_at >= coalesce(
            (
                select min(at)
                from (
                    select at, received, sum(received) over (order by id desc) as events
                    from (select id, at, received from billing_usage_intake order by id desc limit 5000) newest
                ) counted
                where events - received < %(most)s and at >= %(start)s::timestamptz - interval '2 hours'
            ),
            'infinity'
        )
    limit %(most)s
)
select user_id
from events
where created_at >= %(start)s::timestamptz - interval '1 hour'
group by user_id
having
    count(*) filter (where created_at < %(start)s) >= %(least)s
    and count(*) filter (where created_at >= %(start)s and created_at < %(end)s) = 0
    and count(*) filter (where created_at >= %(end)s) > 0
order by count(*) desc, user_id
limit 100;
