-- squawk-ignore-file require-concurrent-index-creation
-- What came last is found without reading what is old: rows lie in the order in which they were recorded.
create index billing_usage_recorded on billing_usage using brin (recorded_at) with (pages_per_range = 16);

-- A reference table: by which formulas and zone figures of a month (UTC) were counted when it began. A file or a setting that
-- is changed in the middle counts what was there already in another way, and this shows it.
create table billing_usage_terms (
    month date primary key,
    zone text not null,
    formulas text not null,
    noted_at timestamptz not null
);
