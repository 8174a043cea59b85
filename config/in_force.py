"""The settings in force: one immutable value, replaced whole while the service runs.

Whoever reads a hot key asks `now` each time it decides and keeps nothing beyond that decision.
"""

from __future__ import annotations

from config.settings import Settings


class SettingsInForce:
    """Shared by all threads: reading and replacing a reference is one step."""

    def __init__(self, settings: Settings) -> None:
        """`settings` are those of the start."""
        self._now = settings

    @property
    def now(self) -> Settings:
        """The settings of this moment."""
        return self._now

    def replace(self, settings: Settings) -> None:
        """From now on these count."""
        self._now = settings
