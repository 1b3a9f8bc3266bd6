"""What happened to a customer, of everything."""
