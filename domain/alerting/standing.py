"""What stands: a machine that is told what is so now, and says what has begun, goes on, and is over. Pure.

Rules of this file:
- A condition is raised when it has held for its time, once, and cleared when it has been away for its time: what comes
  and goes within that makes no noise.
- What nobody can tell at the moment stays as it is: a feed that does not answer proves nothing (as LAWS S11).
- A CRITICAL that stands is told again at an interval, until somebody has acknowledged it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from domain.catalogue import Severity
from domain.identity import PositionId


class Topic(StrEnum):
    """What a standing alert can be about."""

    UNPROTECTED = "unprotected"
    ROLLBACK_FAILED = "rollback_failed"
    STOPS_REFUSED = "stops_refused"
    OPENING_SUCCESS = "opening_success"
    SIGNAL_FEED = "signal_feed_degraded"
    STREAM = "stream_down"
    DATABASE = "database_down"
    CRASH_LOOP = "crash_loop"
    BALANCE = "balance_low"
    CREDENTIALS = "credentials_refused"
    TWO_PROCESSES = "two_processes"
    CLOCK = "clock_skew"
    MAINTENANCE = "exchange_maintenance"
    KILL_SWITCH = "kill_switch"
    ZOMBIES = "zombies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that is so now. `told`: an event of its own has told humans of it, so its beginning needs no message.

    `after_s`: raised when it has held for so long; `calm_s`: over when it has been away for so long.
    """

    topic: Topic
    subject: str
    severity: Severity
    text: str
    told: bool = False
    after_s: float = 0.0
    calm_s: float = 1.0
    account: str | None = None
    symbol: str | None = None
    position_id: PositionId | None = None

    @property
    def key(self) -> str:
        """What it is called while it stands."""
        return f"{self.topic}:{self.subject}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A standing alert. `told_at`: when humans were told last."""

    alert_id: str
    condition: Condition
    raised_at: datetime
    told_at: datetime
    acknowledged_by: str | None = None


class What(StrEnum):
    """What is new of a standing alert."""

    RAISED = "raised"
    REPEATED = "repeated"
    CLEARED = "cleared"


class News(NamedTuple):
    """One piece of it."""

    what: What
    standing: Standing
    at: datetime

    @property
    def stood(self) -> timedelta:
        """How long it has stood."""
        return self.at - self.standing.raised_at

    @property
    def text(self) -> str:
        """What humans read."""
        text = self.standing.condition.text
        match self.what:
            case What.RAISED:
                return text
            case What.REPEATED:
                return f"STILL, for {in_words(self.stood)}: {text}"
        return f"OVER after {in_words(self.stood)}: {text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """All that stands, what may come to stand (since when), and what may be over (since when)."""

    standing: Mapping[str, Standing] = field(default_factory=dict)
    coming: Mapping[str, datetime] = field(default_factory=dict)
    going: Mapping[str, datetime] = field(default_factory=dict)

    def acknowledged(self, alert_id: str, by: str) -> Board:
        """Somebody knows of it: no repeats."""
        known = {
            key: replace(each, acknowledged_by=by) if each.alert_id == alert_id else each
            for key, each in self.standing.items()
        }
        return replace(self, standing=known)

    def with_earlier(self, earlier: Iterable[Standing]) -> tuple[Board, tuple[Standing, ...]]:
        """With what stood in an earlier life, and what of that is superseded: it was raised anew meanwhile."""
        own = dict(self.standing)
        superseded = []
        for each in earlier:
            if each.condition.key in own:
                superseded.append(each)
            else:
                own[each.condition.key] = each
        return replace(self, standing=own), tuple(superseded)


def step(
    board: Board,
    seen: Iterable[Condition],
    now: datetime,
    *,
    mint: Callable[[], str],
    unknown: Callable[[Condition], bool] = lambda _condition: False,
    repeat_s: float = 0,
) -> tuple[Board, tuple[News, ...]]:
    """The board after this look, and what is new.

    `mint` makes the id of an alert. `unknown`: whether nobody can tell at the moment of a condition that stands and is
    not seen. `repeat_s` 0: no repeats.
    """
    so = {condition.key: condition for condition in seen}
    standing, coming, going = dict(board.standing), {}, {}
    news: list[News] = []
    for key, condition in so.items():
        known = standing.get(key)
        if known is not None:
            known = replace(known, condition=condition)
            due = repeat_s > 0 and now - known.told_at >= timedelta(seconds=repeat_s)
            if due and condition.severity is Severity.CRITICAL and known.acknowledged_by is None:
                known = replace(known, told_at=now)
                news.append(News(What.REPEATED, known, now))
            standing[key] = known
            continue
        since = board.coming.get(key, now)
        if now - since >= timedelta(seconds=condition.after_s):
            raised = Standing(alert_id=mint(), condition=condition, raised_at=now, told_at=now)
            standing[key] = raised
            news.append(News(What.RAISED, raised, now))
        else:
            coming[key] = since
    for key, known in board.standing.items():
        if key in so or unknown(known.condition):
            continue
        since = board.going.get(key, now)
        if now - since >= timedelta(seconds=known.condition.calm_s):
            del standing[key]
            news.append(News(What.CLEARED, known, now))
        else:
            going[key] = since
    return Board(standing=standing, coming=coming, going=going), tuple(news)


def in_words(passed: timedelta) -> str:
    """A length of time for people: 42 s, 3 min 5 s, 2 h 10 min, 3 d 4 h."""
    seconds = max(int(passed.total_seconds()), 0)
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
