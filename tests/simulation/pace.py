"""Leaping over idle time: in a long calm the rounds that only look whether all is well are put off.

Nothing else is: prices, orders, news, and every timer of a position run as they are. A round that is put off is the
watchdogs', the main loop's, and the ticks of those in `PUT_OFF`: each would have found nothing and changed nothing. It
comes at the latest after `LEAP_S`; `stir` ends the calm, and then each comes in its own rhythm, as if none was missed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from actors.clock import Callback, Cancellable
from actors.entry_desk import EntryDesk
from actors.guard import GuardedActor
from actors.market_feed import MarketFeed
from actors.messages import Minute, Tick
from actors.notifier import Notifier
from actors.position import PositionActor
from actors.reconciler import Reconciler
from actors.warden import Warden
from tests.simulation.scheduler import SECOND, Host, Scheduler, Timer

LEAP_S = 600.0
# From how many seconds on a tick of theirs is a round; a shorter one is work that waits.
PUT_OFF: Mapping[type[GuardedActor], float] = {
    EntryDesk: 4.0,
    MarketFeed: 4.0,
    Notifier: 4.0,
    PositionActor: 4.0,
    Reconciler: 10.0,
    Warden: 0.5,
}


class Round:
    """One round to come; cancelled like any timer."""

    __slots__ = ("action", "every", "host", "since", "timer")

    def __init__(self, action: Callable[[], object], every: float, since: int, host: Host | None) -> None:
        self.action = action
        self.every = every
        self.since = since
        self.host = host
        self.timer: Timer | None = None

    def cancel(self) -> None:
        """Keep it from coming."""
        if self.timer is not None:
            self.timer.cancel()


class Pace:
    """Says when rounds come. In trouble (the beginning) when they are due."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.calm = False
        self._scheduler = scheduler
        self._waiting: dict[Round, None] = {}

    def after(
        self, seconds: float, action: Callable[[], object], host: Host | None = None, leap_s: float = LEAP_S
    ) -> Cancellable:
        """A round in so many seconds; in a calm after `leap_s`, or when somebody stirs."""
        if not self.calm:
            return self._scheduler.after(seconds, action, host)
        due = Round(action, seconds, self._scheduler.now, host)
        due.timer = self._scheduler.after(max(seconds, leap_s), lambda: self._come(due), host)
        self._waiting[due] = None
        return due

    def remind_after(self, actor: GuardedActor, seconds: float, message: object) -> Cancellable:
        """`GuardedActor.remind_after`, rounds being put off."""
        callback: Callback = lambda: actor.remind(message)  # noqa: E731
        if self.calm and isinstance(message, Tick | Minute):
            shortest = PUT_OFF.get(type(actor))
            if shortest is not None and seconds >= shortest:
                return self.after(seconds, callback, self._scheduler.current.host if self._scheduler.current else None)
        return actor.clock.call_after(seconds, callback)

    def stir(self) -> None:
        """Trouble may come: whatever was put off comes at its next due time."""
        self.calm = False
        waiting, self._waiting = self._waiting, {}
        for due in waiting:
            timer = due.timer
            if timer is None or timer.action is None:
                continue
            timer.cancel()
            every = max(round(due.every * SECOND), 1)
            left = -(self._scheduler.now - due.since) % every
            due.timer = self._scheduler.after(left / SECOND, due.action, due.host)

    def _come(self, due: Round) -> None:
        self._waiting.pop(due, None)
        due.action()
