"""The heartbeat: an address outside is asked now and then, only while all is alive: its silence says that we are dead.

The main thread says that the root of the tree answers; the asking is done on a thread of its own, one at a time. That
it fails is a WARNING, told once, and never more: it is no fault of what protects.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from actors.clock import Clock
from adapters.channels.interface import NotDelivered
from config.notifier import Notifier
from config.secrets import Secrets
from domain.catalogue import EventType

Tell = Callable[[EventType, dict[str, object]], object]


class Heartbeat:
    """One for a process; without an address it does nothing."""

    def __init__(self, settings: Notifier, clock: Clock, tell: Tell) -> None:
        """`tell` writes an event of the service, from any thread."""
        self._url = settings.heartbeat_url.get_secret_value()
        self._every_s = settings.heartbeat_every_s
        self._hide = Secrets(settings.secrets()).hide
        self._clock = clock
        self._tell = tell
        self._get = _asker() if self._url else None
        self._asked_at: float | None = None
        self._under_way = threading.Event()
        self._failing = False

    def alive(self) -> None:
        """The root has just answered. Never blocks."""
        now = self._clock.monotonic()
        early = self._asked_at is not None and now - self._asked_at < self._every_s
        if self._get is None or early or self._under_way.is_set():
            return
        self._asked_at = now
        self._under_way.set()
        threading.Thread(target=self._ask, args=(self._get,), name="heartbeat", daemon=True).start()

    def _ask(self, get: Callable[[str], None]) -> None:
        try:
            get(self._url)
        except NotDelivered as failure:
            if not self._failing:
                self._failing = True
                self._tell(EventType.HEARTBEAT_FAILED, {"error": self._hide(failure.reason)})
        else:
            if self._failing:
                self._failing = False
                self._tell(EventType.HEARTBEAT_RESTORED, {})
        finally:
            self._under_way.clear()


def _asker() -> Callable[[str], None]:
    from adapters.channels.http_post import Poster  # who wants no heartbeat does not wait for its library

    return Poster().get
