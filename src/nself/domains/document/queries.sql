-- Statements of documents.

-- name: request
-- Whatever somebody is at now was begun before this: its end does not count any more.
insert into billing_documents (invoice_id, state, requested_at, due_at)
select id, 'queued', %(now)s, %(now)s from unnest(%(invoices)s::text[]) as id
on conflict (invoice_id) do update set
    state = 'queued', requested_at = excluded.requested_at, due_at = excluded.due_at, attempts = 0,
    token = billing_documents.token + 1, lease_until = null;

-- name: begin
insert into billing_documents (invoice_id, state, requested_at, due_at, attempts, token, lease_until)
values (%(invoice)s, 'running', %(now)s, %(now)s, 1, 1, %(lease)s)
on conflict (invoice_id) do update set
    state = 'running', requested_at = excluded.requested_at, attempts = 1, token = billing_documents.token + 1,
    lease_until = excluded.lease_until
returning invoice_id as invoice, token, attempts;

-- name: claim
-- What is due, or was left by a worker whose lease ended.
with due as (
    select invoice_id from billing_documents
    where (state = 'queued' and due_at <= %(now)s) or (state = 'running' and lease_until <= %(now)s)
    order by due_at
    limit %(limit)s
    for update skip locked
)
update billing_documents one set state = 'running', lease_until = %(lease)s, token = token + 1, attempts = attempts + 1
from due
where one.invoice_id = due.invoice_id
returning one.invoice_id as invoice, token, attempts;

-- name: counts
select
    count(*) filter (where state in ('queued', 'running')) as waiting,
    count(*) filter (where state = 'failed') as failed
from billing_documents;

-- name: finish
update billing_documents set
    state = %(state)s, lease_until = null, due_at = %(due)s, version = coalesce(%(version)s, version), error_code = %(code)s,
    error = %(error)s, hint = %(hint)s, finished_at = case when %(state)s <> 'queued' then %(now)s::timestamptz end
where invoice_id = %(invoice)s and token = %(token)s and state = 'running';

-- name: revive
-- A restart follows a mend: what failed is tried anew.
update billing_documents set state = 'queued', due_at = %(now)s, attempts = 0 where state = 'failed';

-- name: keep
insert into billing_document_files (
    invoice_id, version, content, sha256, pages, language, standard, einvoice, template, warnings, took_ms, made_at
)
values (
    %(invoice)s, %(version)s, %(content)s, %(sha256)s, %(pages)s, %(language)s, %(standard)s, %(einvoice)s, %(template)s,
    %(warnings)s, %(took_ms)s, %(made_at)s
)
on conflict (invoice_id, version) do nothing;

-- name: file
select
    invoice_id as invoice, version, content, sha256, pages, language, standard, einvoice, template, warnings, took_ms, made_at
from billing_document_files
where invoice_id = %(invoice)s and version = %(version)s;

-- name: work
select invoice_id as invoice, state, attempts, token, version, error_code, error, hint, requested_at, due_at, finished_at
from billing_documents
where invoice_id = %(invoice)s;
