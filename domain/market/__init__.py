"""Mark prices on their way to the positions: who has to hear of which price."""
