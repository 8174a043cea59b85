"""The performance records: once in an interval each account's money and positions, and the figures of the day.

It asks the exchange nothing: the balance is read with each reading of the account anyway. While the database is away
there is no snapshot, since the day's figures are in it; the next one counts what was spooled meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Protocol

from loguru import logger

from actors.foundation import Ground
from actors.guard import ActorContext
from actors.marks import Marks
from actors.messages import Tick
from actors.owners import Owners
from actors.recording import Recorder
from actors.reporting import ReportingActor
from actors.standing import Standing
from config.in_force import SettingsInForce
from domain.days import day_of
from domain.judgement.performance import Day, day_metrics, snapshot
from domain.position.state import Position
from domain.records import DayMetric, Performance
from persistence.database import DatabaseAway

PERFORMANCE = "performance"
FIRST_AFTER_S = 5.0
BALANCE_GOOD = timedelta(seconds=90)


class Figures(Protocol):
    """What is looked up. Each raises DatabaseAway."""

    def day_of(self, account: str, day: date) -> Day:
        """A day's executions and endings."""

    def peak_equity(self, account: str) -> Decimal:
        """The highest equity of all snapshots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What it is given; `interval_s` is asked each time."""

    standings: Mapping[str, Standing]
    owners: Owners
    marks: Marks
    figures: Figures
    interval_s: Callable[[], float]
    recorder: Recorder


def wiring_of(
    ground: Ground, owners: Owners, marks: Marks, in_force: SettingsInForce, recorder: Recorder
) -> Wiring:
    """What it is given in a tree on this ground."""
    return Wiring(
        standings=ground.standings,
        owners=owners,
        marks=marks,
        figures=ground.reader,
        interval_s=lambda: in_force.now.risk.performance_interval_s,
        recorder=recorder,
    )


class PerformanceKeeper(ReportingActor):
    """One for all accounts."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder)
        self._wiring = wiring
        self._peaks: dict[str, Decimal] = {}
        self._finished: dict[str, date] = {}
        self._unread = False

    def started(self) -> None:
        """The first snapshot soon: by then the account has been read."""
        self.remind_after(min(FIRST_AFTER_S, self._wiring.interval_s()), Tick())

    def receive(self, message: Any) -> object:
        """The time."""
        match message:
            case Tick():
                for account in self._wiring.standings:
                    self._take(account)
                self.remind_after(self._wiring.interval_s(), Tick())
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    def _take(self, account: str) -> None:
        try:
            taken, metrics = self._measured(account)
        except DatabaseAway as away:
            if not self._unread:
                logger.warning("PERFORMANCE_UNREAD error={!r}", str(away))
            self._unread = True
            return
        self._unread = False
        if taken or metrics:
            self.write(performance=taken, metrics=metrics)

    def _measured(self, account: str) -> tuple[tuple[Performance, ...], tuple[DayMetric, ...]]:
        """Raises DatabaseAway."""
        now = self.clock.now()
        funds = self._wiring.standings[account].funds_as_read
        if funds is None or now - funds.read_at > BALANCE_GOOD:
            return (), ()
        figures, today = self._wiring.figures, day_of(now)
        if account not in self._peaks:
            self._peaks[account] = figures.peak_equity(account)
        peak = self._peaks[account] = max(self._peaks[account], funds.equity)
        metrics: tuple[DayMetric, ...] = ()
        if self._finished.get(account) != today:  # the last of yesterday may have been written since
            yesterday = today - timedelta(days=1)
            metrics = day_metrics(account, yesterday, figures.day_of(account, yesterday), None, peak)
        day = figures.day_of(account, today)
        self._finished[account] = today
        taken = snapshot(account, now, funds, self._owned(account), day, peak)
        return (taken,), metrics + day_metrics(account, today, day, taken, peak)

    def _owned(self, account: str) -> list[Position]:
        """Each with the newest price there is."""
        found = []
        for p in self._wiring.owners.all(account):
            mark = self._wiring.marks.get(account, p.symbol)
            found.append(p if mark is None else p.changed(mark_price=mark.price, mark_at=mark.at))
        return found
