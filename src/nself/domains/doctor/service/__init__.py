"""Use cases of the doctor."""
