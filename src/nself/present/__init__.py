"""What people see and type: the fields of an input, the values of a result. Shared by terminal and browser."""
