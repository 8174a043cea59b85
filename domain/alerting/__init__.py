"""What humans are told, by which way, and what stands until it is over: pure."""
