"""Use cases and steps of subscriptions: created, changed, canceled, prorated, shown, told."""
