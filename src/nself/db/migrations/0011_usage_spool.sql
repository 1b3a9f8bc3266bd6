-- Local to the coordinator.

-- How far each project's usage buffer (.nself/spool, named by its `id`) has been drained; moved in the transaction of the events.
create table billing_usage_spools (
    spool text primary key,
    segment bigint not null,
    position bigint not null,
    events bigint not null default 0,
    drained_at timestamptz
);
