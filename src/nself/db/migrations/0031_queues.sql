-- Whether an intent charges somebody (`connection.rules.charges`).
alter table billing_intents add column payment boolean not null default false;
update billing_intents set payment = true where state = 'pending' and (
    kind = 'invoice.pay'
    or (params #>> '{path,0}' = 'invoices' and params #>> '{path,2}' = 'pay')
    or (params -> 'path' = '["payment_intents"]'::jsonb and params #> '{params,confirm}' = 'true'::jsonb)
);
-- Since when it waits for an operator's drain instead of the worker (docs/decisions/0036).
alter table billing_intents add column queued_at timestamptz;
alter table billing_intents add column last_failed_at timestamptz;
create index billing_intents_queue on billing_intents (id) where state = 'pending' and queued_at is not null;

-- Long work that somebody asked for and does not wait for; the job `operations` does it, one at a time, in order.
create table billing_operations (
    id bigint generated always as identity primary key,
    use text not null,
    input text not null,
    given jsonb not null,
    actor text not null,
    livemode boolean not null,
    state text not null default 'queued' check (state in ('queued', 'running', 'done', 'failed')),
    attempts integer not null default 0,
    result jsonb,
    error text,
    asked_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz
);
-- The same is asked for once.
create unique index billing_operations_once on billing_operations (use, given, livemode) where state in ('queued', 'running');
