"""Use cases and steps of webhooks, one module a verb."""
