-- Damage that makes the database slow, which only a hand in it can do.

-- name: drop_customer_index
drop index if exists billing_invoices_customer;

-- name: drop_begun_index
drop index if exists idx_usage_user_date;

-- name: begin_index
-- What a build leaves that is killed before the partitions' turn.
create index idx_usage_user_date on only billing_usage (user_id, created_at);

-- name: leave_usage_alone
do $$
declare part regclass;
begin
    for part in select inhrelid::regclass from pg_inherits where inhparent = 'billing_usage'::regclass loop
        execute format('alter table %%s set (autovacuum_enabled = false)', part);
    end loop;
end $$;

-- name: look_after_usage
do $$
declare part regclass;
begin
    for part in select inhrelid::regclass from pg_inherits where inhparent = 'billing_usage'::regclass loop
        execute format('alter table %%s reset (autovacuum_enabled)', part);
    end loop;
end $$;

-- name: rewrite_usage
update billing_usage set recorded_at = recorded_at;

-- name: notice_end
select set_config('statement_timeout', '0', true), set_config('client_connection_check_interval', '1s', true);

-- name: work_long
-- A set in the select list is streamed: nothing is kept.
select count(*) from (select generate_series(1, 2000000000)) work (n);

-- name: glance
select 1;

-- name: slow_insert
create function billing.slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(0.4); return new; end $$;

-- name: slow_insert_trigger
create trigger slowly before insert on billing_usage_intake for each row execute function billing.slowly();

-- name: drop_slow_insert
drop function if exists billing.slowly() cascade;

-- name: grow_memory
-- What the largest service would have left behind if it had begun small and come to hold what it has now.
insert into billing_service_memory (run, at, low, high, doing, seconds)
select largest.run, largest.at - ago * interval '1 minute', held.size, held.size, '', 0
from (
    select memory.run, memory.at, memory.low
    from billing_service_memory memory
    join billing_service_runs run using (run)
    where run.ended is null and run.last_seen_at > now() - interval '30 seconds'
    order by memory.low desc
    limit 1
) largest
cross join generate_series(1, 100) as past (ago)
cross join lateral (select (largest.low * (1 - 0.0085 * ago))::bigint size) held
on conflict (run, at) do update set low = excluded.low, high = excluded.high;

-- name: swell_customer
-- Somebody kept a whole export in one field.
update billing_customers set snapshot = jsonb_set(snapshot, '{description}', to_jsonb(repeat('x', 100000000)))
where customer_id = 'cus_123';

-- name: customer_snapshot
select snapshot from billing_customers where customer_id = 'cus_123';

-- name: put_customer_snapshot
update billing_customers set snapshot = %(snapshot)s::jsonb where customer_id = 'cus_123';

-- name: keep_prices
-- A report that lets nobody else read for some seconds.
lock table billing_prices in access exclusive mode;

-- name: undo
-- All of it may be there or not, whatever the rehearsal was that was broken off.
do $$
begin
    drop function if exists billing.slowly() cascade;
    drop function if exists billing.audit_rollup() cascade;
    drop function if exists billing.drill_refuse() cascade;
    drop function if exists billing.drill_slow() cascade;
    delete from billing.billing_operators where name = 'nself-drill';
    alter table if exists auth.users drop constraint if exists company_mail;
    alter table if exists billing.billing_quota_counters_away rename to billing_quota_counters;
    if exists (select from pg_index where indexrelid = to_regclass('billing.idx_usage_user_date') and not indisvalid) then
        drop index billing.idx_usage_user_date;
    end if;
    create index if not exists billing_invoices_customer on billing.billing_invoices (customer_id, created_at);
end $$;
