"""Use cases and steps of the connection with Stripe, one module a concern."""
