"""The watchdog: a plain thread that finds children which hang, or whose thread is gone without a word.

Rules of this file:
- It judges and reports, once for each incarnation; the supervisor acts.
- It tolerates its own lateness: if it was not woken in time, the machine (or the GIL) stood still for everybody. Of the
  time between two looks no more counts than a look may be late, so that a pause hangs nobody, and a machine that is
  always late still finds who hangs.
- A handler that runs is judged by how long it has run; an idle actor by how long it leaves a ping unread.
- Who could not be judged in time by the next look is judged by this one: a limit is kept, not passed by a period.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from loguru import logger

from actors.clock import Clock
from actors.refs import GuardedRef
from actors.supervision import ChildSpec, DownReason, Overdue, Ping

LATE_S = 0.25
"""What a round comes later than this was a pause of the machine."""


class Stillness:
    """How long somebody has not moved, by the looks of one who may himself have stood still."""

    __slots__ = ("_beat", "seconds")

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._beat = -1
        self.seconds = 0.0

    def look(self, beat: int, since: float | None, now: float, step_s: float) -> float:
        """`since`: what is under way began then; None: nothing is. `step_s`: what counts of the time since the last."""
        if since is None:
            self._beat, self.seconds = -1, 0.0
        elif beat != self._beat:
            self._beat, self.seconds = beat, min(max(now - since, 0.0), step_s)
        else:
            self.seconds += step_s
        return self.seconds


@dataclass(slots=True, kw_only=True)
class _Watched:
    ref: GuardedRef[Any]
    spec: ChildSpec
    pinged_at: float | None = None
    pinged_beat: int = -1
    stillness: Stillness = field(default_factory=Stillness)


class Watchdog:
    """Watches the children of one supervisor in a daemon thread of its own."""

    def __init__(
        self,
        report: Callable[[Overdue], object],
        clock: Clock,
        *,
        name: str,
        period_s: float = 0.25,
        ping_after_s: float = 2.0,
    ) -> None:
        """`report` is called in the watchdog's thread and must not block; who was idle for `ping_after_s` is pinged."""
        self._report = report
        self._clock = clock
        self._period_s = period_s
        self._ping_after_s = ping_after_s
        self._watched: dict[str, _Watched] = {}
        self._looked_at = clock.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watchdog:{name}", daemon=True)

    def start(self) -> None:
        """Begin to look, once a period."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; does not wait for the thread."""
        self._ended.set()

    def watch(self, spec: ChildSpec, ref: GuardedRef[Any]) -> None:
        """Watch a new incarnation of a child."""
        self._watched[spec.name] = _Watched(ref=ref, spec=spec)

    def forget(self, name: str) -> None:
        """Watch this child no longer."""
        self._watched.pop(name, None)

    def look(self) -> None:
        """Judge everybody once; called by the thread, or by a test with a virtual clock."""
        now = self._clock.monotonic()
        step_s = min(now - self._looked_at, self._period_s + LATE_S)
        self._looked_at = now
        for name, watched in list(self._watched.items()):
            finding = self._judge(watched, now, step_s)
            if finding is not None and self._watched.get(name) is watched:
                self.forget(name)
                self._report(finding)

    def _judge(self, watched: _Watched, now: float, step_s: float) -> Overdue | None:
        vitals = watched.ref.vitals
        beat, busy_since, patience_s = vitals.beat, vitals.busy_since, vitals.patience_s
        if vitals.thread is None or not vitals.thread.is_alive():
            return self._finding(watched, DownReason.VANISHED, 0.0, beat)
        since = busy_since
        if since is None and watched.pinged_beat == beat:
            since = watched.pinged_at
        limit = watched.spec.hang_after_s if vitals.started else watched.spec.start_s
        seconds = watched.stillness.look(beat, since, now, step_s)
        if since is not None:
            hung = limit is not None and seconds > self._in_time(max(limit, patience_s))
            return self._finding(watched, DownReason.HUNG, seconds, beat) if hung else None
        if vitals.started and now - vitals.last_beat >= self._ping_after_s and watched.ref.is_alive():
            watched.pinged_at, watched.pinged_beat = now, beat
            watched.ref.tell(Ping())
        return None

    def _in_time(self, limit: float) -> float:
        """From when on the next look would be too late."""
        return limit - min(self._period_s, limit / 4)

    def _finding(self, watched: _Watched, reason: DownReason, seconds: float, beat: int) -> Overdue:
        vitals = watched.ref.vitals
        return Overdue(
            name=vitals.name,
            incarnation=vitals.incarnation,
            reason=reason,
            seconds=seconds,
            beat=beat,
            doing=vitals.doing,
        )

    def _run(self) -> None:
        while not self._ended.wait(self._period_s):
            try:
                self.look()
            except BaseException as error:  # noqa: BLE001 - one strange child must not end the watch over the others
                logger.opt(exception=error).error("WATCHDOG_FAILED name={} error={!r}", self._thread.name, repr(error))
