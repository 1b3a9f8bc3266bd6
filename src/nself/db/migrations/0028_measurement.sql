-- How often and how long: by minute, later by hour (docs/decisions/0029).
create table billing_measurements (
    at timestamptz not null,
    width interval not null,
    name text not null,
    labels text [] not null,
    count bigint not null,
    seconds double precision not null,
    counts bigint [] not null,
    primary key (at, width, name, labels)
);
-- The same since the beginning: what counters for Prometheus need, which never fall.
create table billing_measured (
    name text not null,
    labels text [] not null,
    count bigint not null,
    seconds double precision not null,
    counts bigint [] not null,
    primary key (name, labels)
);
-- When `performance` was asked: what --compare compares with.
create table billing_performance_looks (at timestamptz primary key);
