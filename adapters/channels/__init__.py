"""Channels that carry an alert to a human."""
