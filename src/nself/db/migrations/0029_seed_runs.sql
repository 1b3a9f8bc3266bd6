-- When seeds were run or cleared, and what went wrong. `ended_at` null: it was killed, or runs.
create table billing_seed_runs (
    id bigint generated always as identity primary key,
    what text not null,
    started_at timestamptz not null,
    ended_at timestamptz,
    errors text[] not null default '{}'
);
