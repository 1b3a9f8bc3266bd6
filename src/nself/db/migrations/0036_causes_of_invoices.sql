-- What the doctor looks for at any time: drafts, documents that were not made or lack something, tax ids that no authority knows.
create index billing_invoices_drafts on billing_invoices (created_at) where status = 'draft' and not deleted;
create index billing_documents_failed on billing_documents (invoice_id) where error_code is not null;
create index billing_document_files_warned on billing_document_files (made_at) where warnings <> '{}';
create index billing_customers_tax_id_unverified on billing_customers (customer_id)
where snapshot @? '$.tax_ids.data[*].verification.status ? (@ == "unverified")' and not deleted;
