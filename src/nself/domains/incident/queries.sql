-- Statements of incidents.

-- name: add
insert into billing_incidents (id, type, severity, description, began_at, opened_at, opened_by)
values (%(id)s, %(type)s, %(severity)s, %(description)s, %(began_at)s, %(opened_at)s, %(opened_by)s);

-- name: find
select
    id, type, severity, case when closed_at is null then 'open' else 'closed' end as state, description, began_at, opened_at,
    opened_by, closed_at, closed_by, resolution
from billing_incidents
where id = %(id)s;

-- name: incidents
select
    id, type, severity, case when closed_at is null then 'open' else 'closed' end as state, description, began_at, opened_at,
    opened_by, closed_at, closed_by, resolution
from billing_incidents
where %(state)s::text is null or (closed_at is null) = (%(state)s = 'open')
order by opened_at desc, id
limit %(limit)s;

-- name: close
update billing_incidents set closed_at = %(now)s, closed_by = %(actor)s, resolution = %(resolution)s
where id = %(id)s and closed_at is null;

-- name: note
insert into billing_incident_notes (incident_id, at, actor, note) values (%(id)s, %(now)s, %(actor)s, %(text)s);

-- name: timeline
-- Notes; mails of the two templates that are for incidents; refunds by the command that made them.
select at, 'note' as what, actor, note as detail, '' as outcome
from billing_incident_notes where incident_id = %(id)s
union all
select
    min(created_at), 'mails', '', count(*) || ' mails of template ' || template,
    string_agg(distinct state, ', ')
from billing_notifications
where
    channel = 'mail' and livemode = %(livemode)s and created_at >= %(since)s and created_at < %(until)s
    and template in ('billing_error_apology', 'payment_processing_delayed', 'refund')
group by template
union all
select
    min(intent.created_at), 'refunds', coalesce(intent.caused_by, ''),
    count(*) || ' refunds, ' || coalesce(sum((refund.snapshot ->> 'amount')::bigint), 0) || ' ' || coalesce(refund.snapshot ->> 'currency', ''),
    intent.state
from billing_intents intent left join billing_refunds refund using (object_id)
where
    intent.livemode = %(livemode)s and intent.created_at >= %(since)s and intent.created_at < %(until)s
    and intent.params -> 'path' ->> 0 = 'refunds'
group by intent.caused_by, refund.snapshot ->> 'currency', intent.state;
