-- Statements that look for root causes.

-- name: undone
-- Newest first: PDFs that could not be made, and those that are tried again for the same reason.
select invoice_id as invoice, error_code as code, error
from billing_documents
where error_code is not null and state in ('failed', 'queued')
order by finished_at desc nulls last, invoice_id
limit %(limit)s;

-- name: warned
-- Newest first: PDFs in use that were made with warnings.
select made.invoice_id as invoice, made.warnings
from billing_document_files made
join billing_documents work using (invoice_id, version)
where made.warnings <> '{}' and made.made_at > %(since)s
order by made.made_at desc
limit %(limit)s;
