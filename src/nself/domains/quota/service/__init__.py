"""Use cases and steps of quotas: limits, counters, decisions, resets, what is shown."""
