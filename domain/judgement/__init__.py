"""What is judged of positions and accounts while they live, and what follows: pure."""
