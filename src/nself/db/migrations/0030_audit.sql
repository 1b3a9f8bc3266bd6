-- squawk-ignore-file require-concurrent-index-creation
-- Emergencies: who did what, in a chain that shows what was changed in it; incidents (docs/decisions/0034).
create table billing_audit (
    number bigint primary key,
    entry text not null,
    phase text not null check (phase in ('begun', 'done', 'failed')),
    at timestamptz not null,
    actor text not null,
    host text not null,
    command text not null,
    outcome text not null,
    incident text not null,
    previous bytea not null check (octet_length(previous) = 32),
    hash bytea not null check (octet_length(hash) = 32),
    unique (entry, phase)
);
create index billing_audit_at on billing_audit (at);

-- The end of the chain: its row lock puts writers in one order, and it tells when the last rows were taken away.
create table billing_audit_head (
    one boolean primary key default true check (one),
    number bigint not null,
    hash bytea not null check (octet_length(hash) = 32)
);
insert into billing_audit_head (number, hash) values (0, decode(repeat('00', 32), 'hex'));

create function billing_audit_stays() returns trigger language plpgsql set search_path = billing, public as $$
begin
    raise exception 'billing_audit only grows' using errcode = 'restrict_violation';
end
$$;
create trigger billing_audit_stays before update or delete on billing_audit
for each row execute function billing_audit_stays();
create trigger billing_audit_stays_whole before truncate on billing_audit
for each statement execute function billing_audit_stays();
create trigger billing_audit_head_stays before delete or truncate on billing_audit_head
for each statement execute function billing_audit_stays();

create table billing_incidents (
    id text primary key,
    type text not null,
    severity text not null check (severity in ('info', 'warning', 'critical')),
    description text not null,
    began_at timestamptz not null,
    opened_at timestamptz not null,
    opened_by text not null,
    closed_at timestamptz,
    closed_by text,
    resolution text
);
create index billing_incidents_open on billing_incidents (opened_at) where closed_at is null;

create table billing_incident_notes (
    id bigint generated always as identity primary key,
    incident_id text not null references billing_incidents (id),
    at timestamptz not null,
    actor text not null,
    note text not null
);
create index billing_incident_notes_incident on billing_incident_notes (incident_id, id);

-- Which command, and who gave it. What the worker wishes for by itself, and what is older, has none.
alter table billing_intents add column caused_by text;
create index billing_intents_object on billing_intents (object_id) where object_id is not null;
