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
from unnest(%(users)s::text[], %(plans)s::text[]) as asked (user_id, plan)
cross join lateral (
    select metric_type, limit_value, period, mode, 'user' as source, 1 as rank
    from billing_quotas where billing_quotas.user_id = asked.user_id
    union all
    select metric_type, limit_value, period, mode, 'plan ' || plan as source, 2 as rank
    from billing_plan_quotas where billing_plan_quotas.plan = asked.plan
) quota
where %(metric)s::text is null or quota.metric_type = %(metric)s
order by asked.user_id, quota.metric_type, quota.rank;

-- name: subscribed
-- The subscription of each user that is in force or ended after a time: the newest, those that name a plan before others.
-- A price's own row is newer than the copy of it in a subscription, which nothing tells of a changed price.
select distinct on (customer.user_id)
    customer.user_id as user, subscription.object_id as subscription, subscription.status,
    named.plan
from billing_customers customer
join billing_subscriptions subscription on subscription.customer_id = customer.customer_id and not subscription.deleted
left join lateral jsonb_array_elements(subscription.snapshot #> '{items,data}') as each (item) on true
left join billing_prices price on price.object_id = item #>> '{price,id}'
left join billing_products product on product.object_id = item #>> '{price,product}'
cross join lateral (
    select coalesce(
        coalesce(price.snapshot, item -> 'price') #>> '{metadata,plan}', product.snapshot #>> '{metadata,plan}'
    ) as plan
) named
where
    customer.user_id = any(%(users)s::text[]) and customer.livemode = %(livemode)s and not customer.deleted
    and (
        subscription.status in ('active', 'trialing', 'past_due')
        or exists (select from billing_comps where subscription_id = subscription.object_id and until > %(since)s)
        or (subscription.snapshot ->> 'ended_at')::bigint > extract(epoch from %(since)s::timestamptz)
    )
order by
    customer.user_id, subscription.status in ('active', 'trialing', 'past_due') desc, named.plan is null,
    subscription.created_at desc,
    subscription.object_id;

-- name: counters
-- Those that are ready to decide what happens at the given instants, one a user and metric.
select
    counter.user_id as user, counter.metric_type as metric, window_start, window_end, counted_from, aggregation,
    used::numeric(60, 0) as used, held::numeric(60, 0) as held, expires_next, limit_value as limit, period, mode, source, extra,
    extra_until, blocked_until, block_reason, exceeded_at, warned
from unnest(%(users)s::text[], %(metrics)s::text[], %(instants)s::timestamptz[]) as asked (user_id, metric_type, at)
join billing_quota_counters counter using (user_id, metric_type)
where counter.window_start <= asked.at and asked.at < counter.window_end and not counter.stale;

-- name: used_up
select
    user_id as user, metric_type as metric, window_start, window_end, counted_from, aggregation,
    used::numeric(60, 0) as used, held::numeric(60, 0) as held, expires_next, limit_value as limit, period, mode, source, extra,
    extra_until, blocked_until, block_reason, exceeded_at, warned
from billing_quota_counters
where
    window_start <= %(now)s and window_end > %(now)s and not stale
    and (%(metric)s::text is null or metric_type = %(metric)s)
    and (blocked_until > %(now)s or (limit_value >= 0 and used + held > 0 and (used + held) * 100 >= limit_value::numeric * %(percent)s))
order by (used + held) / nullif(limit_value, 0) desc nulls first, user_id, metric_type
limit %(limit)s;

-- name: put_counters
-- What was built anew. The first excess of a window and what was told of it are kept, unless a reset lies between.
insert into billing_quota_counters as counter (
    user_id, metric_type, window_start, window_end, counted_from, aggregation, used, held, expires_next, stale,
    limit_value, period, mode, source, extra, extra_until, blocked_until, block_reason, exceeded_at, warned
)
select
    user_id, metric_type, window_start, window_end, counted_from, aggregation, used, 0, %(never)s, false,
    limit_value, period, mode, source, extra, extra_until, blocked_until, block_reason, null, 0
from unnest(
    %(users)s::text[], %(metrics)s::text[], %(starts)s::timestamptz[], %(ends)s::timestamptz[], %(from)s::timestamptz[],
    %(aggregations)s::text[], %(used)s::numeric[], %(limits)s::bigint[], %(periods)s::text[], %(modes)s::text[],
    %(sources)s::text[], %(extras)s::bigint[], %(extra_until)s::timestamptz[], %(blocked_until)s::timestamptz[],
    %(block_reasons)s::text[]
) as given (
    user_id, metric_type, window_start, window_end, counted_from, aggregation, used, limit_value, period, mode, source,
    extra, extra_until, blocked_until, block_reason
)
on conflict (user_id, metric_type, window_start) do update set
    window_end = excluded.window_end, counted_from = excluded.counted_from, aggregation = excluded.aggregation,
    used = excluded.used, held = 0, expires_next = excluded.expires_next, stale = false, limit_value = excluded.limit_value,
    period = excluded.period, mode = excluded.mode, source = excluded.source, extra = excluded.extra,
    extra_until = excluded.extra_until, blocked_until = excluded.blocked_until, block_reason = excluded.block_reason,
    exceeded_at = case when counter.counted_from = excluded.counted_from then counter.exceeded_at end,
    warned = case when counter.window_end = excluded.window_end then counter.warned else 0 end;

-- name: retire_counters
-- Counters of the same user and metric whose window is another now: the limit's period or the time zone was changed.
update billing_quota_counters counter set stale = true
from unnest(%(users)s::text[], %(metrics)s::text[], %(starts)s::timestamptz[], %(instants)s::timestamptz[]) as given (user_id, metric_type, window_start, at)
where
    counter.user_id = given.user_id and counter.metric_type = given.metric_type
    and counter.window_start <> given.window_start and counter.window_start <= given.at and given.at < counter.window_end
    and not counter.stale;

-- name: recount_holds
-- What is held, from the reservations themselves.
update billing_quota_counters counter
set held = holds.held, expires_next = holds.expires_next
from (
    select
        owner.user_id, owner.metric_type, owner.window_start, coalesce(sum(reservation.amount), 0) as held,
        coalesce(min(reservation.expires_at), %(never)s) as expires_next
    from unnest(%(users)s::text[], %(metrics)s::text[]) as given (user_id, metric_type)
    join billing_quota_counters owner using (user_id, metric_type)
    left join billing_quota_reservations reservation
        on reservation.user_id = owner.user_id and reservation.metric_type = owner.metric_type and reservation.state = 'held'
        and reservation.reserved_at >= owner.counted_from and reservation.reserved_at < owner.window_end
    group by owner.user_id, owner.metric_type, owner.window_start
) holds
where
    counter.user_id = holds.user_id and counter.metric_type = holds.metric_type and counter.window_start = holds.window_start;

-- name: circumstances
-- The last reset before the window's end, the block in force that lasts longest, and the largest override in force.
select
    asked.user_id as user, asked.metric_type as metric, reset.reset_at, block.expires_at as blocked_until,
    block.reason as block_reason, override.extra, override.expires_at as extra_until
from unnest(%(users)s::text[], %(metrics)s::text[], %(ends)s::timestamptz[]) as asked (user_id, metric_type, ends)
left join lateral (
    select max(reset_at) as reset_at from billing_quota_resets
    where user_id = asked.user_id and metric_type in (asked.metric_type, '*') and reset_at < asked.ends
) reset on true
left join lateral (
    select expires_at, reason from billing_quota_blocks
    where user_id = asked.user_id and metric_type in (asked.metric_type, '*') and expires_at > %(now)s
    union all
    select until, 'access revoked: ' || newest.reason
    from (
        select access, until, reason from billing_access
        where user_id = asked.user_id
        order by changed_at desc, id desc
        limit 1
    ) newest
    where access = 'revoked' and until > %(now)s
    order by expires_at desc
    limit 1
) block on true
left join lateral (
    select extra, expires_at from billing_quota_overrides
    where user_id = asked.user_id and metric_type in (asked.metric_type, '*') and expires_at > %(now)s
    order by extra desc, expires_at desc
    limit 1
) override on true;

-- name: grant_holds
-- The last word on a limit: a row that has no room for what is to be held is not touched. `most` null is no limit.
update billing_quota_counters counter
set held = counter.held + given.amount, expires_next = least(counter.expires_next, given.expires_at)
from unnest(
    %(users)s::text[], %(metrics)s::text[], %(starts)s::timestamptz[], %(amounts)s::numeric[], %(most)s::numeric[], %(expire)s::timestamptz[]
) as given (user_id, metric_type, window_start, amount, most, expires_at)
where
    counter.user_id = given.user_id and counter.metric_type = given.metric_type and counter.window_start = given.window_start
    and (given.most is null or counter.used + counter.held + given.amount <= given.most);

-- name: reserve_ready
-- The whole decision about what needs no second look, of one amount a user and metric: usage is folded, the counter is not
-- stale, counts the window that holds `now` by the formula in force, no hold is over, nothing blocks, nothing was granted on
-- top, no threshold is to be told, and all of it has room. What is not returned was not touched. Only an index is asked for
-- what is not folded, whatever the planner believes. The caller holds the locks.
with asked as (
    select given.*
    from unnest(%(users)s::text[], %(metrics)s::text[], %(aggregations)s::text[], %(amounts)s::bigint[])
        with ordinality as given (user_id, metric_type, aggregation, amount, n)
    left join lateral (select true as waits from billing_usage_deltas where user_id = given.user_id limit 1) unfolded on true
    where unfolded.waits is null
),
granted as (
    update billing_quota_counters counter
    set held = counter.held + asked.amount, expires_next = least(counter.expires_next, %(expires_at)s)
    from asked
    where
        counter.user_id = asked.user_id and counter.metric_type = asked.metric_type and counter.aggregation = asked.aggregation
        and not counter.stale and counter.expires_next > %(now)s and counter.blocked_until <= %(now)s
        and (counter.extra = 0 or counter.extra_until <= %(now)s)
        and (counter.period, counter.window_start, counter.window_end) in (
            select * from unnest(%(periods)s::text[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
        )
        and counter.used + counter.held + asked.amount
        <= case counter.limit_value when -1 then 1000000000000000000 else counter.limit_value end
        and (
            counter.limit_value <= 0
            or width_bucket(div(counter.used * 100, counter.limit_value), %(levels)s::numeric[])
            <= width_bucket(counter.warned, %(levels)s::integer[])
        )
    returning
        asked.n, counter.user_id, counter.metric_type, counter.window_start, counter.counted_from,
        counter.used::bigint as used, (counter.held - asked.amount)::bigint as held, counter.limit_value, counter.mode,
        counter.period, counter.source, counter.window_end
),
made as (
    insert into billing_quota_reservations (
        user_id, reservation_id, metric_type, value, amount, window_start, reserved_at, expires_at, state
    )
    select
        granted.user_id, each.id, granted.metric_type, each.value, each.amount, granted.window_start,
        greatest(%(now)s, granted.counted_from), %(expires_at)s, 'held'
    from unnest(%(ids)s::text[], %(values)s::bigint[], %(each)s::bigint[], %(places)s::bigint[]) as each (id, value, amount, n)
    join granted using (n)
)
select n, used, held, limit_value, mode, period, source, window_end from granted;

-- name: check_ready
-- The same question where nothing is taken; `amounts` is the most that is asked for.
select
    given.n, counter.used::bigint as used, counter.held::bigint as held, counter.limit_value, counter.mode, counter.period,
    counter.source, counter.window_end
from unnest(%(users)s::text[], %(metrics)s::text[], %(aggregations)s::text[], %(amounts)s::bigint[])
    with ordinality as given (user_id, metric_type, aggregation, amount, n)
join billing_quota_counters counter
    on counter.user_id = given.user_id and counter.metric_type = given.metric_type and counter.aggregation = given.aggregation
left join lateral (select true as waits from billing_usage_deltas where user_id = given.user_id limit 1) unfolded on true
where
    unfolded.waits is null and not counter.stale and counter.expires_next > %(now)s and counter.blocked_until <= %(now)s
    and (counter.extra = 0 or counter.extra_until <= %(now)s)
    and (counter.period, counter.window_start, counter.window_end) in (
        select * from unnest(%(periods)s::text[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
    )
    and counter.used + counter.held + given.amount
    <= case counter.limit_value when -1 then 1000000000000000000 else counter.limit_value end
    and (
        counter.limit_value <= 0
        or width_bucket(div(counter.used * 100, counter.limit_value), %(levels)s::numeric[])
        <= width_bucket(counter.warned, %(levels)s::integer[])
    );

-- name: add_reservations
-- CSV without a quote that could occur: nothing is escaped.
copy billing_quota_reservations (user_id, reservation_id, metric_type, value, amount, window_start, reserved_at, expires_at, state)
from stdin (format csv, delimiter e'\t', quote e'\x01');

-- name: reservations
select
    user_id as user, reservation_id as id, metric_type as metric, value, amount, window_start, reserved_at, expires_at, state,
    settled_value
from billing_quota_reservations
where (user_id, reservation_id) in (select * from unnest(%(users)s::text[], %(ids)s::text[]));

-- name: settle_reservations
update billing_quota_reservations reservation
set state = given.state, settled_value = given.value, settled_at = %(now)s
from unnest(%(users)s::text[], %(ids)s::text[], %(states)s::text[], %(given)s::bigint[]) as given (user_id, reservation_id, state, value)
where reservation.user_id = given.user_id and reservation.reservation_id = given.reservation_id;

-- name: give_back
-- Ends holds in the counters that count them, as `recount_holds` has it: those of another window than they were granted in,
-- where the limit's period was changed since.
update billing_quota_counters counter set held = counter.held - ended.amount
from (
    select owner.user_id, owner.metric_type, owner.window_start, sum(given.amount) as amount
    from unnest(
        %(users)s::text[], %(metrics)s::text[], %(amounts)s::numeric[], %(reserved)s::timestamptz[]
    ) as given (user_id, metric_type, amount, reserved_at)
    join billing_quota_counters owner using (user_id, metric_type)
    where given.reserved_at >= owner.counted_from and given.reserved_at < owner.window_end and not owner.stale
    group by owner.user_id, owner.metric_type, owner.window_start
) ended
where
    counter.user_id = ended.user_id and counter.metric_type = ended.metric_type and counter.window_start = ended.window_start;

-- name: expire_holds
update billing_quota_reservations set state = 'expired'
where user_id = any(%(users)s::text[]) and state = 'held' and expires_at <= %(now)s
returning user_id as user, metric_type as metric;

-- name: note_counters
update billing_quota_counters counter
set exceeded_at = coalesce(counter.exceeded_at, given.exceeded_at), warned = greatest(counter.warned, given.warned)
from unnest(
    %(users)s::text[], %(metrics)s::text[], %(starts)s::timestamptz[], %(exceeded)s::timestamptz[], %(warned)s::integer[]
) as given (user_id, metric_type, window_start, exceeded_at, warned)
where
    counter.user_id = given.user_id and counter.metric_type = given.metric_type and counter.window_start = given.window_start;

-- name: add_notices
insert into billing_quota_notices (user_id, metric_type, window_start, threshold, used, limit_value, noticed_at)
select user_id, metric_type, window_start, threshold, used, limit_value, %(now)s
from unnest(
    %(users)s::text[], %(metrics)s::text[], %(starts)s::timestamptz[], %(levels)s::integer[], %(used)s::numeric[], %(limits)s::bigint[]
) as given (user_id, metric_type, window_start, threshold, used, limit_value)
on conflict do nothing
returning user_id as user, metric_type as metric, threshold, used, limit_value as limit;

-- name: stale_counters
update billing_quota_counters set stale = true
where user_id = any(%(users)s::text[]) and (%(metric)s::text = '*' or metric_type = %(metric)s) and not stale;

-- name: stale_plan
-- Everybody whose limit is not their own.
update billing_quota_counters set stale = true
where metric_type = %(metric)s and source <> 'user' and not stale;

-- name: add_reset
insert into billing_quota_resets (user_id, metric_type, reset_at, actor, reason)
values (%(user)s, %(metric)s, %(now)s, %(actor)s, %(reason)s)
on conflict do nothing;

-- name: reset_everybody
insert into billing_quota_resets (user_id, metric_type, reset_at, actor, reason)
select id, '*', %(now)s, %(actor)s, %(reason)s from auth.users
on conflict do nothing;

-- name: stale_everybody
update billing_quota_counters set stale = true where not stale;

-- name: count_users
select count(*) from auth.users;

-- name: resets
select metric_type as metric, reset_at, actor, reason
from billing_quota_resets
where user_id = %(user)s
order by reset_at desc
limit 1000;

-- name: hours_of_resets
select distinct date_trunc('hour', reset_at, 'UTC') as hour
from billing_quota_resets
where reset_at >= %(start)s and reset_at < %(end)s and date_trunc('hour', reset_at, 'UTC') <> reset_at
order by hour;

-- name: ended_counters
select user_id as user, metric_type as metric, window_start
from billing_quota_counters
where window_end <= %(before)s and not stale
order by user_id, metric_type, window_start
limit %(limit)s;

-- name: drop_counters
delete from billing_quota_counters
where (user_id, metric_type, window_start) in (select * from unnest(%(users)s::text[], %(metrics)s::text[], %(starts)s::timestamptz[]));

-- name: stale_ended
update billing_quota_counters set stale = true
where (user_id, metric_type, window_start) in (select * from unnest(%(users)s::text[], %(metrics)s::text[], %(starts)s::timestamptz[]));

-- name: counted_users
select distinct user_id from billing_quota_counters where not stale order by user_id;

-- name: put_block
insert into billing_quota_blocks as block (user_id, metric_type, reason, actor, blocked_at, expires_at)
values (%(user)s, %(metric)s, %(reason)s, %(actor)s, %(now)s, %(until)s)
on conflict (user_id, metric_type) do update
set reason = excluded.reason, actor = excluded.actor, blocked_at = excluded.blocked_at, expires_at = excluded.expires_at;

-- name: clear_blocks
-- One metric's own block, or all of them: a block of every metric is not lifted for one.
delete from billing_quota_blocks where user_id = %(user)s and (%(metric)s::text = '*' or metric_type = %(metric)s);

-- name: put_override
insert into billing_quota_overrides (user_id, metric_type, extra, granted_at, expires_at, actor, reason)
values (%(user)s, %(metric)s, %(extra)s, %(now)s, %(until)s, %(actor)s, %(reason)s)
on conflict (user_id, metric_type) do update
set extra = excluded.extra, granted_at = excluded.granted_at, expires_at = excluded.expires_at, actor = excluded.actor, reason = excluded.reason;

-- name: journal_settled_at
select drained_at from billing_usage_spools where spool = %(journal)s;

-- name: expired_holders
select distinct user_id from billing_quota_reservations
where state = 'held' and expires_at <= %(now)s
order by user_id
limit %(limit)s;

-- name: forget_reservations
delete from billing_quota_reservations
where state <> 'held' and coalesce(settled_at, expires_at) < %(before)s;
