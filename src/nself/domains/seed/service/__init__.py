"""Use cases of seeds and test data."""
