-- A key may be bound to one user of the app: it then sees and changes nothing of anybody else (docs/decisions/0038).
alter table billing_api_keys add column user_id text check (user_id <> '');
