-- squawk-ignore-file ban-drop-constraint, constraint-missing-not-valid, adding-serial-primary-key-field, require-concurrent-index-deletion
-- One index for both: what tells deltas apart and what reads them. A commit adds up to one delta for each of its events.
-- The table holds what was not folded yet, so that the locks are short.
alter table billing_usage_deltas drop constraint billing_usage_deltas_pkey;
alter table billing_usage_deltas add primary key (user_id, metric_type, hour, id);
drop index billing_usage_deltas_read;
