"""Use cases of overage: looking at it, deciding about it."""
