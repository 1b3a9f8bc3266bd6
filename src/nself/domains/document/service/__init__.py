"""Use cases of documents: invoices as PDF."""
