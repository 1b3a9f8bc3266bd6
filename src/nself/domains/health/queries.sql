-- Statements of the looks at the whole system.

-- name: last_look
select max(at) from billing_performance_looks;

-- name: look
insert into billing_performance_looks (at) values (%(now)s) on conflict (at) do nothing;
