-- squawk-ignore-file adding-required-field
-- Local to the coordinator (docs/decisions/0016).

-- One process of a service, told by itself every few seconds. `ended` says how it ended, null while it lives or nobody knows.
create table billing_service_runs (
    run text primary key,
    service text not null,
    place text not null,  -- host and project folder
    pid integer not null,
    boot text not null,  -- of the machine
    started_at timestamptz not null,
    last_seen_at timestamptz not null,  -- where it ended in order, the end
    ended text check (ended in ('stopped', 'restarted', 'terminated', 'killed', 'machine'))
);
create index billing_service_runs_service on billing_service_runs (service, last_seen_at);

-- While a run lived: the database did not answer it, or the process itself was not run by the machine.
create table billing_service_interruptions (
    run text not null,
    began_at timestamptz not null,
    kind text not null check (kind in ('database', 'frozen')),
    ended_at timestamptz not null,
    detail text not null,
    buffered bigint not null,  -- events that waited on disk, at most
    primary key (run, began_at, kind)
);

-- Usage that was answered with 503, counted on disk until the database was back.
create table billing_usage_refusals (
    origin text not null,
    number bigint not null,
    code text not null,
    began_at timestamptz not null,
    ended_at timestamptz not null,
    requests bigint not null,
    events bigint not null,  -- resends included
    primary key (origin, number)
);

-- So that an imported file can be read again as it was read first.
alter table billing_usage_imports add column count_metric text not null default 'api_calls';
alter table billing_usage_imports add column bytes_metric text not null default 'bandwidth';
alter table billing_usage_imports add column origin text;

-- Who had usage counted from logs, and what came of it. The events themselves have the source `reconstructed`.
create table billing_usage_reconstructions (
    id bigint generated always as identity primary key,
    user_id text not null,
    period_start timestamptz not null,
    period_end timestamptz not null,
    sources text not null,
    in_log bigint not null,
    missing bigint not null,
    recorded bigint not null,
    invoiced boolean not null,
    actor text not null,
    reason text,
    reconstructed_at timestamptz not null
);
