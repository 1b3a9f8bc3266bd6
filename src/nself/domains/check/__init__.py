"""Whether the whole works: the mode that everything is in, and a self-test from usage to PDF."""
