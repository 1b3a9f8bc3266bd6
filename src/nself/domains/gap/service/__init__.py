"""Use cases of gaps: finding them, filling them from logs."""
