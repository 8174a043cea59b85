"""The actors: thin shells around the pure core, started, watched and restarted by supervisors."""
