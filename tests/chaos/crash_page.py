"""The page that a test and the process it kills have in common: which point is armed, and how often each was reached.

A mapped file, so that it can be written while the process runs and read after it was killed. Numbers are 32 bits.
"""

from __future__ import annotations

import mmap
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

_ARMED, _NTH, _HITS, _KILLED_HIGH, _KILLED_LOW, _COUNTS = range(6)
_WIDTH = 4
_LOW = 2**32


class CrashPage:
    """One page. `hook` is called by the process that dies, all else by who drives it."""

    def __init__(self, path: Path, points: int) -> None:
        """Opens the page, or makes it."""
        size = (_COUNTS + points) * _WIDTH
        self._points = points
        with path.open("a+b") as file:
            if os.fstat(file.fileno()).st_size < size:
                file.truncate(size)
            self._words = memoryview(mmap.mmap(file.fileno(), size)).cast("I")

    def hook(self) -> Callable[[int], None]:
        """What stands at each point: count, and die if this is the one."""
        words = self._words

        def reached(number: int) -> None:
            words[_COUNTS + number] += 1
            if words[_ARMED] == number + 1:
                words[_HITS] += 1
                if words[_HITS] == words[_NTH]:
                    words[_KILLED_HIGH], words[_KILLED_LOW] = divmod(time.time_ns() // 1_000_000, _LOW)
                    os.kill(os.getpid(), signal.SIGKILL)

        return reached

    def arm(self, number: int, nth: int = 1) -> None:
        """Die when this point is reached for the `nth` time from now on."""
        self._words[_ARMED] = 0
        self._words[_HITS], self._words[_NTH] = 0, nth
        self._words[_KILLED_HIGH] = self._words[_KILLED_LOW] = 0
        self._words[_ARMED] = number + 1

    def disarm(self) -> None:
        """Live."""
        self._words[_ARMED] = 0

    @property
    def killed_at(self) -> int | None:
        """When (ms) the armed point killed the process, None if it did not."""
        return (self._words[_KILLED_HIGH] * _LOW + self._words[_KILLED_LOW]) or None

    def counts(self) -> list[int]:
        """How often each point has been reached, by all processes of this page together."""
        return self._words[_COUNTS : _COUNTS + self._points].tolist()
