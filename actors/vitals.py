"""Signs of life of an actor: what the watchdog judges and operators see.

Written by the actor's thread alone, read by anybody without a lock. Times are monotonic seconds of the actor's clock.
"""

from __future__ import annotations

import threading


class Vitals:
    """Signs of life of one incarnation."""

    __slots__ = (
        "beat",
        "busy_since",
        "doing",
        "error",
        "fenced",
        "incarnation",
        "last_beat",
        "name",
        "patience_s",
        "settled",
        "started",
        "thread",
    )

    def __init__(self, name: str, incarnation: int, now: float) -> None:
        """For an actor that was made at `now` and does not run yet."""
        self.name = name
        self.incarnation = incarnation
        self.thread: threading.Thread | None = None
        self.busy_since: float | None = None
        """Begin of the handler that runs now; None: idle."""
        self.last_beat = now
        """End of the last handler."""
        self.beat = 0
        """Grows at each begin and end of a handler."""
        self.patience_s = 0.0
        """How long what it does just now may take by its own bound (a statement, an fsync), where that is longer."""
        self.doing: str | None = None
        """Type of the message in the last handler, or "started"."""
        self.started = False
        self.fenced = False
        self.error: str | None = None
        """Why it died."""
        self.settled = threading.Event()
        """Set when `started()` returned or the actor died, whichever is first."""

    def begin(self, doing: str, now: float, patience_s: float = 0.0) -> None:
        """A handler begins, or says in the middle that it gets on, and how long its next step may take."""
        self.doing = doing
        self.patience_s = patience_s
        self.busy_since = now
        self.beat += 1

    def end(self, now: float) -> None:
        """A handler ended."""
        self.busy_since = None
        self.patience_s = 0.0
        self.last_beat = now
        self.beat += 1

    def heartbeat_age_s(self, now: float) -> float:
        """Seconds since the last finished message."""
        return max(now - self.last_beat, 0.0)
