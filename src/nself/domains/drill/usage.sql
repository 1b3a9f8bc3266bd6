-- Damage to usage, as hands in the database make it.

-- name: keep_fold_locks
select pg_advisory_xact_lock(hashtext('billing_usage_fold'), shard) from generate_series(0, 15) as shard;

-- name: make_slow_function
-- Of users of this rehearsal alone, so that a trigger which is left behind harms nobody.
create or replace function billing.audit_rollup() returns trigger language plpgsql as $$
begin
    if new.user_id like 'load%%' then
        perform pg_sleep(0.05);
    end if;
    return new;
end
$$;

-- name: make_slow_trigger
create or replace trigger audit_rollup before insert on billing.billing_usage_rollups
for each row execute function billing.audit_rollup();

-- name: drop_slow_function
drop function if exists billing.audit_rollup() cascade;

-- name: bend_rollup
-- What a program leaves that reads a rollup, adds to it and writes it back beside a fold.
update billing_usage_rollups set events = events + 7, total = total + 7
where
    user_id = 'user123' and metric_type = 'api_calls'
    and hour = (
        select min(hour) from billing_usage_rollups
        where user_id = 'user123' and metric_type = 'api_calls' and hour >= '2026-01-15T00:00:00Z'
    );

-- name: forget_service_runs
-- Of the service that takes usage, as if it had not run since.
delete from billing_service_runs where service = 'http' and started_at >= %(since)s and ended is not null;

-- name: end_runs
update billing_service_runs set last_seen_at = least(last_seen_at, %(since)s), ended = 'killed'
where service = 'http' and started_at < %(since)s and ended is not null;

-- name: add_run
insert into billing_service_runs (run, service, place, pid, boot, started_at, last_seen_at, ended)
values (gen_random_uuid()::text, 'http', 'here', 1, 'before', %(start)s, %(end)s, 'killed');
