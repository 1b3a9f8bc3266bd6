"""Use cases and steps of synchronisation, one module a concern."""
