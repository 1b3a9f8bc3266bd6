-- squawk-ignore-file require-concurrent-index-creation
-- What each process of a service had in memory, by minute, for two hours: whether it grows, and what made it jump.
create table billing_service_memory (
    run text not null,
    at timestamptz not null,
    low bigint not null,
    high bigint not null,
    doing text not null,
    seconds double precision not null,
    primary key (run, at)
);
create index billing_service_memory_at on billing_service_memory (at);
