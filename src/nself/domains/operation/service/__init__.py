"""What an operator does to the running system."""
