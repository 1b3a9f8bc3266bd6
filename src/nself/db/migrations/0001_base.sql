-- The app's own table of users. A project that brings its own keeps it.
create schema if not exists auth;
create table if not exists auth.users (
    id text primary key,
    email text
);

-- Drawn before each read of an object at Stripe: a snapshot with a lower number than the stored one came out of order.
create sequence billing.snapshot_numbers;
