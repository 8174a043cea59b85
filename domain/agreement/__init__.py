"""What the exchange shows against what the book says."""
