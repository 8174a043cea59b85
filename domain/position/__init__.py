"""What a position knows, hears and decides: a state machine that takes an event and the time and returns effects."""
