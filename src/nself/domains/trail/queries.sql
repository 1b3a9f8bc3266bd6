-- Statements of the audit log. It only grows: triggers refuse everything else.

-- name: lock_head
select number, hash from billing_audit_head for update;

-- name: head
select number, hash from billing_audit_head;

-- name: known
select entry || ' ' || phase from billing_audit where entry || ' ' || phase = any(%(names)s::text[])
and entry = any(select split_part(name, ' ', 1) from unnest(%(names)s::text[]) name);

-- name: open_incident
select id from billing_incidents where closed_at is null order by opened_at desc, id limit 1;

-- name: add
insert into billing_audit (number, entry, phase, at, actor, host, command, outcome, incident, previous, hash)
values (
    %(number)s, %(entry)s, %(phase)s, %(at)s, %(actor)s, %(host)s, %(command)s, %(outcome)s, %(incident)s, %(previous)s,
    %(hash)s
);

-- name: move_head
update billing_audit_head set number = %(number)s, hash = %(hash)s;

-- name: deeds
select
    begun.number, begun.at, begun.actor, begun.host, begun.command,
    case ended.phase when 'done' then 'done' when 'failed' then 'failed: ' || ended.outcome else 'no end' end as outcome,
    begun.incident, ended.at as ended_at
from billing_audit begun
left join billing_audit ended on ended.entry = begun.entry and ended.phase in ('done', 'failed')
where
    begun.phase = 'begun' and begun.at >= %(since)s and begun.at < %(until)s
    and (%(incident)s::text is null or begun.incident = %(incident)s)
    and (%(words)s::text[] is null or string_to_array(translate(begun.command, '=''"', '   '), ' ') && %(words)s::text[])
order by begun.number desc
limit %(limit)s;

-- name: chain
select number, entry, phase, at, actor, host, command, outcome, incident, previous, hash
from billing_audit
order by number;

-- name: mentions
select text from unnest(%(texts)s::text[]) text
where exists (
    select from billing_audit begun
    join billing_audit ended on ended.entry = begun.entry and ended.phase = 'done'
    where begun.phase = 'begun' and strpos(begun.command, text) > 0
);
