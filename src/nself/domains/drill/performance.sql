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
