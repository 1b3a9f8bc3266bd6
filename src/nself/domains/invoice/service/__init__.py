"""Use cases and steps of invoices, one module a verb."""
