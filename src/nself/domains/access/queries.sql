-- Statements of access. That a revocation refuses is decided where counters are built (quota, `circumstances`).

-- name: add
insert into billing_access (user_id, access, reason, actor, changed_at, until)
values (%(user)s, %(access)s, %(reason)s, %(actor)s, %(now)s, %(until)s);

-- name: changes
select access, reason, actor, changed_at, until from billing_access
where user_id = %(user)s
order by changed_at desc, id desc
limit %(limit)s;
