"""Bybit's dead man's switch: when the last connection that watches it is lost for too long, all orders are cancelled.

A connection watches by the topic `dcp.future`. The switch does nothing until one has. Armed until the process ends:
the venue forgets it no sooner than the account, the paper exchange does with each start.
"""

from typing import Final

SHORTEST_WINDOW_S: Final = 3
LONGEST_WINDOW_S: Final = 300
TOPIC: Final = "dcp.future"


class DeadManSwitch:
    """The switch of one account; `window_s` is 0 while it is not armed."""

    def __init__(self) -> None:
        self.window_s = 0
        self._seen_at: int | None = None

    def arm(self, window_s: int) -> None:
        """Arm it, or change its window."""
        self.window_s = window_s

    def fires(self, now: int, *, watched: bool) -> bool:
        """Look at the connections, at a venue time in ms; True once when they have been away for the whole window."""
        if watched:
            self._seen_at = now
        if not self.window_s or self._seen_at is None or now - self._seen_at < self.window_s * 1_000:
            return False
        self._seen_at = None
        return True
