-- Local to the coordinator: the invoices whose PDF is to be made, or was, and the PDFs (docs/decisions/0023).
-- A row of the queue is claimed under a lease; a higher token shuts others out.
create table billing_documents (
    invoice_id text primary key,
    state text not null check (state in ('queued', 'running', 'done', 'failed')),
    requested_at timestamptz not null,
    due_at timestamptz not null,
    attempts integer not null default 0,
    token bigint not null default 0,
    lease_until timestamptz,
    version text,
    error_code text,
    error text,
    hint text[] not null default '{}',
    finished_at timestamptz
);
create index billing_documents_due on billing_documents (due_at) where state in ('queued', 'running');

-- What was made stays: `version` names all that the bytes depend on, so that a row never changes.
create table billing_document_files (
    invoice_id text not null,
    version text not null,
    content bytea not null,
    sha256 text not null,
    pages integer not null,
    language text not null,
    standard text not null,
    einvoice text not null,
    template text not null,
    warnings text[] not null,
    took_ms integer not null,
    made_at timestamptz not null,
    primary key (invoice_id, version)
);
-- A PDF is compressed in itself.
alter table billing_document_files alter column content set storage external;
