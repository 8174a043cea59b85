"""From a signal to an order worth placing: parsing and sizing."""
