"""Use cases and steps of metering, one module a verb."""
