"""Use cases of repair. Each is tried first: without --execute the transaction is rolled back after its result is known."""
