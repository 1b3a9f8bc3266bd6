-- A new month never waits for readers or writers of the others: ATTACH takes SHARE UPDATE EXCLUSIVE on the parent, where
-- CREATE … PARTITION OF takes ACCESS EXCLUSIVE and has everybody queue behind it. Whoever waits too long is told.
create or replace function billing.ensure_usage_month(first_day date) returns void
language plpgsql set search_path = billing, public set lock_timeout = '5s' as $$
declare
    month text := 'billing_usage_' || to_char(first_day, 'YYYY_MM');
begin
    if to_regclass('billing.' || month) is not null then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtext('billing_usage_months'));
    -- Not by its name again: that it was not there is remembered.
    if exists (select from pg_class where relname = month and relnamespace = 'billing'::regnamespace) then
        return;
    end if;
    execute format('create table billing.%I (like billing.billing_usage including all)', month);
    execute format(
        'alter table billing.billing_usage attach partition billing.%I for values from (%L) to (%L)',
        month, first_day::timestamp at time zone 'UTC', (first_day + interval '1 month') at time zone 'UTC'
    );
end $$;

-- Until the end of the transaction nobody adds to the month; it can be read.
create function billing.lock_usage_month(first_day date) returns void
language plpgsql set search_path = billing, public as $$
begin
    execute format('lock table billing.%I in share row exclusive mode', 'billing_usage_' || to_char(first_day, 'YYYY_MM'));
end $$;

-- Empties the month but for the events of the hours `kept` and of `metrics`; their number. The partition stays, so that a late event finds it.
create function billing.empty_usage_month(first_day date, kept timestamptz[], metrics text[]) returns bigint
language plpgsql set search_path = billing, public as $$
declare
    month text := 'billing_usage_' || to_char(first_day, 'YYYY_MM');
    stayed bigint;
begin
    execute format(
        'create temporary table usage_kept on commit drop as select * from billing.%I'
        ' where date_trunc(''hour'', created_at, ''UTC'') = any($1) or metric_type = any($2)',
        month
    ) using kept, metrics;
    execute format('truncate billing.%I', month);
    execute format('insert into billing.%I select * from usage_kept', month);
    get diagnostics stayed = row_count;
    drop table usage_kept;
    return stayed;
end $$;

-- Local to the coordinator.

-- Which of the histories in a bucket is this database's; the row is made when it is first needed.
create table billing_usage_archive_owner (
    one boolean primary key default true check (one),
    owner text not null
);

-- Raw events of a UTC month that were sent to the archive, and what became of them here. A month has several rows where
-- events came late or were restored. Where `location` is empty the events were dropped without an archive.
create table billing_usage_archives (
    id bigint generated always as identity primary key,
    month date not null,
    state text not null check (state in ('writing', 'verified', 'dropped', 'abandoned')),
    location text not null,
    events bigint not null default 0,
    objects integer not null default 0,
    bytes bigint not null default 0,
    manifest_sha256 text,
    kept bigint not null default 0,  -- stayed here, though they are in the archive
    returned bigint not null default 0,  -- were restored: of the whole month, whichever archive they came from
    actor text not null,
    started_at timestamptz not null,
    verified_at timestamptz,
    dropped_at timestamptz
);
create unique index billing_usage_archives_one on billing_usage_archives (month) where state in ('writing', 'verified');

-- Who did what to raw events; never changed.
create table billing_usage_archive_log (
    id bigint generated always as identity primary key,
    month date not null,
    action text not null,
    events bigint not null,
    detail text not null,
    actor text not null,
    at timestamptz not null
);
