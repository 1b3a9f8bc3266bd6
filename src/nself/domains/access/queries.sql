-- Statements of access. That a revocation refuses is decided where counters are built (quota, `circumstances`).

-- name: add
insert into billing_access (user_id, access, reason, actor, changed_at, until)
values (%(user)s, %(access)s, %(reason)s, %(actor)s, %(now)s, %(until)s);

-- name: changes
select access, reason, actor, changed_at, until from billing_access
where user_id = %(user)s
order by changed_at desc, id desc
limit %(limit)s;

-- name: owners
-- What has no customer is nobody's and not found.
select mirror.kind, mirror.object_id as id, coalesce(billing_customers.user_id, '') as user
from unnest(%(kinds)s::text[], %(ids)s::text[]) as named (kind, id)
join billing_mirror mirror on mirror.kind = named.kind and mirror.object_id = named.id
left join billing_customers using (customer_id)
where mirror.customer_id is not null;
