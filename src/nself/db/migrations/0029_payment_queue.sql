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
