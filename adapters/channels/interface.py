"""What the notifier needs of a channel."""

from __future__ import annotations

from typing import Protocol

from domain.records import AlertChange


class NotDelivered(Exception):
    """The channel did not take an alert, with the reason; it will be tried again."""


class Channel(Protocol):
    """Carries alerts to humans. May block: it is called in the notifier's thread only."""

    name: str

    def deliver(self, alert: AlertChange) -> None:
        """Deliver one alert. Raises NotDelivered."""
        ...
