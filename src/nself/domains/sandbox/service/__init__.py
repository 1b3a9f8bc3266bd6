"""The demonstration, and what an operator does to the sandbox."""
