"""Use cases of rehearsals."""
