-- What Stripe refused for good, as it said it: whoever asks later is told the same.
alter table billing_intents add column failure jsonb;
