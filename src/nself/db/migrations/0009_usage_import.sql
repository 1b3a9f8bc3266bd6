-- Of all bytes before the import's position: tells a file that grew from another one that begins with the same line.
alter table billing_usage_imports add column digest bytea not null default '';
