"""The typed values that travel between the rooms, and the errors."""
