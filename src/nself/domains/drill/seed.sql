-- Damage that keeps seeds from being made, which only a hand in the database can do.

-- name: add_mail_rule
alter table auth.users add constraint company_mail check (email not like '%%@partner.example.com');

-- name: drop_mail_rule
alter table auth.users drop constraint if exists company_mail;
