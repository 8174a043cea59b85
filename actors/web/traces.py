"""The course of mark and stop of each position, kept in memory for its chart.

A drawing only: numbers here are floats, and a long life is kept in larger steps, never in more memory. What happened
before this process began is in the events.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from math import isnan, nan

POINTS = 240
ENDED_KEPT = 40


class Trace:
    """One position's. Written by one thread; read under the lock of `Traces`."""

    def __init__(self) -> None:
        """No point yet; each counts at first."""
        self.times, self.marks, self.stops = array("d"), array("d"), array("d")
        self._apart_s = 0.0

    def add(self, at: float, mark: float | None, stop: float | None) -> None:
        """A point, unless the last one is young and the stop has not moved since."""
        stop = nan if stop is None else stop
        if self.times:
            young = at - self.times[-1] < self._apart_s
            stands = stop == self.stops[-1] or (isnan(stop) and isnan(self.stops[-1]))
            if young and stands:
                return
        self.times.append(at)
        self.marks.append(nan if mark is None else mark)
        self.stops.append(stop)
        if len(self.times) > POINTS:
            self._thin()

    def _thin(self) -> None:
        """Leave out every second point, and take points half as often from now on."""
        for name in ("times", "marks", "stops"):
            setattr(self, name, getattr(self, name)[::2])
        self._apart_s = max(self._apart_s * 2, (self.times[-1] - self.times[0]) / POINTS * 1.5)

    def points(self) -> list[tuple[float, float | None, float | None]]:
        """[time, mark, stop], oldest first."""
        return [
            (at, None if isnan(mark) else mark, None if isnan(stop) else stop)
            for at, mark, stop in zip(self.times, self.marks, self.stops, strict=True)
        ]


class Traces:
    """Of all positions, and of the last that ended. Thread-safe."""

    def __init__(self) -> None:
        """Nothing has been seen yet."""
        self._lock = threading.Lock()
        self._open: dict[int, Trace] = {}
        self._ended: OrderedDict[int, Trace] = OrderedDict()

    def look(self, at: float, seen: dict[int, tuple[float | None, float | None]]) -> None:
        """Mark and stop of every open position at this moment."""
        with self._lock:
            for position_id, (mark, stop) in seen.items():
                self._open.setdefault(position_id, Trace()).add(at, mark, stop)
            for position_id in self._open.keys() - seen.keys():
                self._ended[position_id] = self._open.pop(position_id)
            while len(self._ended) > ENDED_KEPT:
                self._ended.popitem(last=False)

    def points(self, position_id: int) -> list[tuple[float, float | None, float | None]]:
        """One position's, oldest first; empty: never seen."""
        with self._lock:
            trace = self._open.get(position_id) or self._ended.get(position_id)
            return [] if trace is None else trace.points()
