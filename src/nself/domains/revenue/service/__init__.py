"""Use cases of revenue."""
