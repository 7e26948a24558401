"""The typed values that the other packages exchange, and the errors."""
