"""The watchdog: a plain thread that finds children which hang, or whose thread is gone without a word.

Rules of this file:
- It judges and reports, once for each incarnation; the supervisor acts.
- It tolerates its own lateness: if it was not woken in time, the machine (or the GIL) stood still, and nobody is
  judged by the time that passed.
- A handler that runs is judged by how long it has run; an idle actor by how long it leaves a ping unread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from loguru import logger

from actors.clock import Clock
from actors.refs import GuardedRef
from actors.supervision import ChildSpec, DownReason, Overdue, Ping

LATE_S = 0.25
"""A round that comes later than this is a pause of the machine."""


@dataclass(slots=True, kw_only=True)
class _Watched:
    ref: GuardedRef[Any]
    spec: ChildSpec
    pinged_at: float | None = None
    pinged_beat: int = -1


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
        self._resumed_at = self._looked_at
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
        if now - self._looked_at > self._period_s + LATE_S:
            self._resumed_at = now
        self._looked_at = now
        for name, watched in list(self._watched.items()):
            finding = self._judge(watched, now)
            if finding is not None and self._watched.get(name) is watched:
                self.forget(name)
                self._report(finding)

    def _judge(self, watched: _Watched, now: float) -> Overdue | None:
        vitals = watched.ref.vitals
        beat, busy_since = vitals.beat, vitals.busy_since
        if vitals.thread is None or not vitals.thread.is_alive():
            return self._finding(watched, DownReason.VANISHED, 0.0, beat)
        since = busy_since
        if since is None and watched.pinged_beat == beat:
            since = watched.pinged_at
        limit = watched.spec.hang_after_s if vitals.started else watched.spec.start_s
        if since is not None:
            seconds = now - max(since, self._resumed_at)
            hung = limit is not None and seconds > limit
            return self._finding(watched, DownReason.HUNG, seconds, beat) if hung else None
        if vitals.started and now - vitals.last_beat >= self._ping_after_s and watched.ref.is_alive():
            watched.pinged_at, watched.pinged_beat = now, beat
            watched.ref.tell(Ping())
        return None

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
            except Exception as error:  # noqa: BLE001 - one strange child must not end the watch over the others
                logger.opt(exception=error).error("WATCHDOG_FAILED name={} error={!r}", self._thread.name, repr(error))
