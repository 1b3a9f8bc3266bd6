"""What all users together used: by hour and day exactly, by user and dimension as last counted."""
