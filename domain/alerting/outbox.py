"""The queue before one channel: what is sent next, when, and in how few messages. Pure; the time is told.

Rules of this file:
- Nothing leaves the queue before the channel took it, or refused the message itself three times.
- A CRITICAL goes first and alone: it is neither grouped nor held back by the rate; only a channel that is down, or that
  says how long to wait, keeps it waiting, and its arrival ends a back-off.
- Of anything else the first of its kind (type and symbol) goes at once; what follows within the window goes together,
  with a count. When many kinds wait they share one message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from domain.catalogue import Severity
from domain.records import AlertChange

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
REFUSALS = 3
MANY_KINDS = 3
LONGEST_TEXT = 3_500
SHORT_TEXT = 200
KINDS_REMEMBERED = 1_000
_MINUTE = timedelta(minutes=1)


class Kind(NamedTuple):
    """What makes two alerts the same in a flood."""

    type: str
    symbol: str


def kind_of(alert: AlertChange) -> Kind:
    """See `Kind`."""
    return Kind(alert.type or "", alert.symbol or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One message: the alerts that it tells of, and its text."""

    alerts: tuple[AlertChange, ...]
    text: str

    @property
    def severity(self) -> Severity:
        """That of the gravest."""
        order = tuple(Severity)
        return max((alert.severity or Severity.WARNING for alert in self.alerts), key=order.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a channel did not take a message. `refused`: it never will, as it is."""

    reason: str
    retry_after_s: float | None = None
    refused: bool = False


class Outbox:
    """One channel's queue; used by one thread."""

    def __init__(self, *, window_s: float, per_minute: int) -> None:
        """`window_s`: how long the same kind waits for more. `per_minute`: the most messages, CRITICAL ones aside."""
        self._window = timedelta(seconds=window_s)
        self._per_minute = per_minute
        self._critical: dict[str, AlertChange] = {}
        self._kinds: dict[Kind, dict[str, AlertChange]] = {}  # by kind: a flood of thousands costs as much as one
        self._count = 0
        self._last: dict[Kind, datetime] = {}
        self._sent_at: deque[datetime] = deque()
        self._not_before: datetime | None = None
        self._told_to_wait = False
        self._refusals = 0
        self.failures = 0
        self.failing_since: datetime | None = None
        self.reason: str | None = None
        self.under_way: Batch | None = None

    def __len__(self) -> int:
        """How many alerts wait, those under way included."""
        return self._count

    def add(self, alert: AlertChange) -> None:
        """Queue it; one that waits already stays where it is."""
        queue = self._queue(alert)
        if alert.alert_id not in queue:
            queue[alert.alert_id] = alert
            self._count += 1
        if alert.severity is Severity.CRITICAL and not self._told_to_wait:
            self._not_before = None

    def next(self, now: datetime) -> Batch | None:
        """The message to send now, which is then under way; None: nothing, or not yet."""
        if self.under_way is not None or (self._not_before is not None and now < self._not_before):
            return None
        self.under_way = self._chosen(now)
        return self.under_way

    def taken(self, now: datetime) -> tuple[AlertChange, ...]:
        """The channel has it: the alerts that are delivered by it."""
        batch = self._over()
        if batch.severity is not Severity.CRITICAL:
            self._sent_at.append(now)
        for alert in batch.alerts:
            kind = kind_of(alert)
            self._last.pop(kind, None)
            self._last[kind] = now
        self._drop(batch.alerts)
        while len(self._last) > KINDS_REMEMBERED:
            del self._last[next(iter(self._last))]
        self._refusals = self.failures = 0
        self._not_before = self.failing_since = self.reason = None
        self._told_to_wait = False
        return batch.alerts

    def taken_late(self, alerts: Iterable[AlertChange]) -> None:
        """A message that had been given up was taken after all."""
        self._drop(alerts)

    def failed(self, failure: Failure, now: datetime, jitter: int) -> tuple[AlertChange, ...]:
        """The channel does not have it; what is given up by that, which is nothing unless it was refused too often.

        `jitter`: 0 to 1000, drawn for each failure; the pause is shortened by up to half by it.
        """
        batch = self._over()
        self.failures += 1
        self.failing_since = self.failing_since or now
        self.reason = failure.reason
        pause_s = min(FIRST_PAUSE_S * 2 ** min(self.failures - 1, 10), LONGEST_PAUSE_S)
        pause = timedelta(seconds=pause_s) * (2000 - jitter) / 2000
        self._told_to_wait = failure.retry_after_s is not None
        if failure.retry_after_s is not None:
            pause = max(pause, timedelta(seconds=failure.retry_after_s))
        self._not_before = now + pause
        self._refusals = self._refusals + 1 if failure.refused else 0
        if self._refusals < REFUSALS:
            return ()
        self._refusals = 0
        self._drop(batch.alerts)
        return batch.alerts

    def _over(self) -> Batch:
        batch, self.under_way = self.under_way, None
        if batch is None:
            raise RuntimeError("outbox: no message is under way")
        return batch

    def _queue(self, alert: AlertChange) -> dict[str, AlertChange]:
        if alert.severity is Severity.CRITICAL:
            return self._critical
        return self._kinds.setdefault(kind_of(alert), {})

    def _drop(self, alerts: Iterable[AlertChange]) -> None:
        for alert in alerts:
            queue = self._queue(alert)
            if queue.pop(alert.alert_id, None) is not None:
                self._count -= 1
            if not queue and queue is not self._critical:
                del self._kinds[kind_of(alert)]

    def _chosen(self, now: datetime) -> Batch | None:
        for alert in self._critical.values():
            return self._batch((alert,), alert.text or "")
        while self._sent_at and now - self._sent_at[0] >= _MINUTE:
            self._sent_at.popleft()
        if len(self._sent_at) >= self._per_minute:
            return None
        due = [list(alerts.values()) for kind, alerts in self._kinds.items() if self._due(kind, now)]
        if not due:
            return None
        if len(due) > MANY_KINDS:
            alerts = tuple(alert for each in due for alert in each)
            return self._batch(alerts, "\n".join([f"{len(alerts)} alerts:", *map(_told, due)]))
        return self._batch(tuple(due[0]), _told(due[0]))

    def _due(self, kind: Kind, now: datetime) -> bool:
        last = self._last.get(kind)
        return last is None or now - last >= self._window

    def _batch(self, alerts: tuple[AlertChange, ...], text: str) -> Batch:
        if self._refusals:  # perhaps it is the text: the least that still says what it is about
            text = text.encode("ascii", "replace").decode()[:SHORT_TEXT]
        return Batch(alerts=alerts, text=_cut(text))


def _told(alerts: list[AlertChange]) -> str:
    """One alert as it is, several of a kind with their number and the last of them."""
    last = alerts[-1]
    if len(alerts) == 1:
        return last.text or ""
    since = f"{alerts[0].at:%H:%M:%S} to {last.at:%H:%M:%S} UTC"
    return f"{len(alerts)} times {last.type} ({since}), the last: {last.text}"


def _cut(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}… ({len(text) - LONGEST_TEXT} characters more in the database)"
