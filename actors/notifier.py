"""The notifier: carries alerts to humans, from a durable outbox, without ever holding up anybody.

An alert is in the outbox (the database) in the transaction of what it tells about. Rules of this file:
- Each channel has a queue and a thread of its own: one that hangs delays no other, and never this actor.
- What a channel took is written down for that channel; what a crash left untaken is found at the next start. Delivery
  may repeat, it is never lost (LAWS L7).
- A channel that fails is tried again without end, ever more slowly. Only a message that a channel refuses for itself,
  three times, is put aside for that channel, and that is told by the others.
- A CRITICAL is never grouped away (`domain.alerting.outbox`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from loguru import logger

from actors.alerting_messages import Handed, Inherited, ShowTrial, Tried, TryChannels
from actors.dispatch import DEADLINE_S, Dispatch
from actors.guard import ActorContext
from actors.messages import AlertsRaised, Show, Tick
from actors.recording import Recorder, writable
from actors.reporting import ReportingActor
from adapters.channels.factory import open_channel
from adapters.channels.interface import Channel, Message
from adapters.channels.log_channel import log_alert
from config.notifier import Notifier as NotifierSettings
from domain.alerting.outbox import Batch, Failure, Outbox
from domain.alerting.routes import Route, channels_for
from domain.catalogue import EventType, Severity
from domain.notices import kind
from domain.records import AlertChange, Delivery
from persistence.database import DatabaseAway
from persistence.reader import Reader

LOOK_EVERY_S = 0.5
AGAIN_S = 5.0
READ_EVERY_S = 60.0
KNOWN = 5_000
LOADED = 1_000
TOLD_AFTER = 3
TRIALS_KEPT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the notifier is given.

    `pending` reads the outbox, at most `LOADED` rows of it with an `id` above the one given. Raises DatabaseAway.
    """

    channels: tuple[Channel, ...]
    routes: tuple[Route, ...]
    window_s: float
    per_minute: int
    pending: Callable[[int], Sequence[Mapping[str, Any]]]
    recorder: Recorder


def wiring_of(settings: NotifierSettings, reader: Reader, recorder: Recorder) -> Wiring:
    """What the settings say. A channel that no route names carries everything that is told."""
    addresses = {name: address.get_secret_value() for name, address in settings.urls.items()}
    named = {route.channel for route in settings.routes}
    routes = [
        Route(channel=route.channel, lowest=Severity(route.severity), types=frozenset(route.types))
        for route in settings.routes
    ]
    return Wiring(
        channels=tuple(open_channel(*each, telegram_url=settings.telegram_url) for each in addresses.items()),
        routes=(*routes, *(Route(channel=name) for name in addresses if name not in named)),
        window_s=settings.group_window_s,
        per_minute=settings.max_per_minute,
        pending=lambda after: reader.alerts_pending(LOADED, after),
        recorder=recorder,
    )


@dataclass(slots=True, kw_only=True)
class Line:
    """One channel, its queue, and what of it was given up as overdue."""

    channel: Channel
    outbox: Outbox
    dispatch: Dispatch
    given_up: dict[int, Batch] = field(default_factory=dict)
    number: int = 0
    said: str | None = None
    told: bool = False


class Waiting(NamedTuple):
    """An alert, and the channels that have not taken it yet."""

    alert: AlertChange
    by: set[str]


class Notifier(ReportingActor):
    """Queues, hands over, and marks."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder)
        self._wiring = wiring
        self._lines = {
            channel.name: Line(
                channel=channel,
                outbox=Outbox(window_s=wiring.window_s, per_minute=wiring.per_minute),
                dispatch=Dispatch(channel, self.remind, self.clock.monotonic),
            )
            for channel in wiring.channels
        }
        self._open: dict[str, Waiting] = {}
        self._done: dict[str, None] = {}
        self._read_again_at: float | None = None
        self._away = self._more = False
        self._read_to = 0
        self._counts = {"sent": 0, "failed": 0}
        self._trials: dict[int, dict[str, Tried | None]] = {}
        self._trial_of: dict[tuple[str, int], int] = {}

    def started(self) -> None:
        """Take up what an earlier life left."""
        self._load(0)
        self._hand_over()
        self.remind_after(LOOK_EVERY_S, Tick())

    def receive(self, message: Any) -> object:
        """Alerts, the end of a delivery, or the time to look."""
        answer: object = None
        match message:
            case AlertsRaised(alerts=alerts):
                for alert in alerts:
                    self._take_up(alert)
            case Handed():
                self._handed(message)
            case Inherited(alerts=left):
                for alert, by in left:
                    self._take_up(alert, done=self._lines.keys() - set(by))
            case Tick():
                self._look()
                self.remind_after(LOOK_EVERY_S, Tick())
            case TryChannels():
                answer = self._try(message.uid)
            case ShowTrial(number=number):
                answer = dict(self._trials.get(number, {}))
            case Show():
                answer = self._shown()
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        self._hand_over()
        return answer

    def stopping(self) -> None:
        """There is no successor: the next life finds what is left in the database."""
        self._open.clear()

    def bequeath(self, leftovers: tuple[object, ...]) -> tuple[object, ...]:
        """What is not delivered yet may be in the spool only, where a successor does not look."""
        if not self._open:
            return leftovers
        left = tuple((waiting.alert, tuple(waiting.by)) for waiting in tuple(self._open.values()))
        return (Inherited(alerts=left), *leftovers)

    # What comes in.

    def _load(self, after: int) -> None:
        """Read a page of the outbox; again now and then, since the journal may have replayed its spool into it."""
        self._read_again_at = self.clock.monotonic() + READ_EVERY_S
        try:
            rows = self._wiring.pending(after)
        except DatabaseAway as away:
            self._read_again_at = self.clock.monotonic() + AGAIN_S
            if not self._away:
                logger.warning("OUTBOX_UNREAD error={!r}", str(away))
            self._away = True
            return
        self._away = False
        self._more = len(rows) >= LOADED
        self._read_to = rows[-1]["id"] if rows else after
        for row in rows:
            self._take_up(
                AlertChange(
                    alert_id=str(row["alert_id"]),
                    at=row["raised_at"],
                    severity=Severity(row["severity"]),
                    type=row["type"],
                    text=row["text"],
                    position_id=row["position_id"],
                    symbol=row["symbol"],
                    order_id=row["order_id"],
                ),
                done=row["done"],
            )

    def _take_up(self, alert: AlertChange, done: Iterable[str] = ()) -> None:
        if alert.sent_at is not None or alert.alert_id in self._open or alert.alert_id in self._done:
            return
        # What no channel could ever take would stand before all that comes after it.
        alert = replace(alert, text=alert.text and writable(alert.text))
        log_alert(alert)
        wanted = {name for name in channels_for(alert, self._wiring.routes) if name in self._lines} - set(done)
        self._open[alert.alert_id] = Waiting(alert=alert, by=wanted)
        for name in wanted:
            self._lines[name].outbox.add(alert)
        if not wanted:
            now = self.clock.now()
            self._closed(alert)
            self.write(alerts=(AlertChange(alert_id=alert.alert_id, at=now, sent_at=now),))

    def _look(self) -> None:
        if self._more and not self._away and self._somebody_is_idle():
            self._load(self._read_to)
        elif self._read_again_at is not None and self.clock.monotonic() >= self._read_again_at:
            self._load(0)
        for line in self._lines.values():
            if line.dispatch.overdue() and (batch := line.outbox.under_way) is not None:
                line.given_up[line.number] = batch
                self._failed(line, Failure(reason=f"no end within {DEADLINE_S:.0f} s"), "")

    def _somebody_is_idle(self) -> bool:
        """Whether a channel has sent all that was read: what waits for another one must not keep the rest from it."""
        return not self._open or any(not len(line.outbox) for line in self._lines.values())

    # What goes out.

    def _hand_over(self) -> None:
        now = self.clock.now()
        for line in self._lines.values():
            if not line.dispatch.free:
                continue
            batch = line.outbox.next(now)
            if batch is not None:
                message = Message(text=batch.text, severity=batch.severity, alerts=batch.alerts)
                line.number = line.dispatch.begin(message)

    def _handed(self, end: Handed) -> None:
        line = self._lines[end.channel]
        trial = self._trial_of.pop((end.channel, end.number), None)
        if trial is not None:
            error = None if end.failure is None else self.recorder.secrets.hide(end.failure.reason)
            if trial in self._trials:
                self._trials[trial][end.channel] = Tried(took_s=end.took_s, error=error)
        elif not line.dispatch.ended(end.number):
            late = line.given_up.pop(end.number, None)
            if late is not None and end.failure is None:
                line.outbox.taken_late(late.alerts)
                self._taken(line, late.alerts)
        elif end.failure is None:
            self._taken(line, line.outbox.taken(self.clock.now()))
        else:
            self._failed(line, end.failure, end.stack)

    def _taken(self, line: Line, alerts: tuple[AlertChange, ...]) -> None:
        now = self.clock.now()
        name = line.channel.name
        first = alerts[0]
        text = "{}_SENT type={} symbol={} order_id={} channel={} count={}"
        said = logger.bind(event="alert_sent")
        said.info(text, line.channel.tag, kind(first.type), first.symbol, first.order_id, name, len(alerts))
        self._counts["sent"] += 1
        self.write(
            alerts=self._all_done(name, alerts),
            deliveries=tuple(Delivery(alert_id=each.alert_id, channel=name, at=now, sent_at=now) for each in alerts),
        )
        line.said = None
        if line.told:
            line.told = False
            self.report(EventType.CHANNEL_RESTORED, {"channel": name})

    def _failed(self, line: Line, failure: Failure, stack: str) -> None:
        """It stays queued. Written down when it fails in a new way, not at every attempt."""
        now = self.clock.now()
        failure = replace(failure, reason=self.recorder.secrets.hide(failure.reason))
        name, batch = line.channel.name, line.outbox.under_way
        aside = line.outbox.failed(failure, now, random.randint(0, 1000))
        self._counts["failed"] += 1
        if line.said != failure.reason and batch is not None:
            line.said = failure.reason
            first = batch.alerts[0]
            text = "{}_FAILED type={} symbol={} order_id={} channel={} error={!r} stack={!r}"
            tag, what = line.channel.tag, kind(first.type)
            said = logger.bind(event="alert_failed")
            said.warning(text, tag, what, first.symbol, first.order_id, name, failure.reason, stack)
            tried = tuple(
                Delivery(alert_id=each.alert_id, channel=name, at=now, error=failure.reason) for each in batch.alerts
            )
            news = tuple(
                AlertChange(alert_id=each.alert_id, at=now, error=f"{name}: {failure.reason}") for each in batch.alerts
            )
            self.write(alerts=news, deliveries=tried)
        if aside:
            self._put_aside(line, aside, failure)
        elif line.outbox.failures == TOLD_AFTER and not line.told:
            line.told = True
            data = {"channel": name, "error": failure.reason, "waiting": len(line.outbox)}
            self.report(EventType.CHANNEL_FAILED, data, error=failure.reason)

    def _put_aside(self, line: Line, alerts: tuple[AlertChange, ...], failure: Failure) -> None:
        """The channel will never take them: they stay in the table, and the other channels say so."""
        now = self.clock.now()
        name = line.channel.name
        refused = tuple(
            Delivery(alert_id=each.alert_id, channel=name, at=now, refused_at=now, error=failure.reason)
            for each in alerts
        )
        self.write(alerts=self._all_done(name, alerts), deliveries=refused)
        told = EventType.ALERT_UNDELIVERED
        grave = Severity.INFO if all(each.type == told.value for each in alerts) else None  # or it would never end
        data = {"channel": name, "error": failure.reason, "alerts": ",".join(each.alert_id for each in alerts)}
        self.report(told, data, error=failure.reason, severity=grave)

    def _all_done(self, channel: str, alerts: Iterable[AlertChange]) -> tuple[AlertChange, ...]:
        """One channel has done with them; of those that no channel waits for any more, that they are sent."""
        now = self.clock.now()
        done = []
        for alert in alerts:
            waiting = self._open.get(alert.alert_id)
            if waiting is None:
                continue
            waiting.by.discard(channel)
            if not waiting.by:
                self._closed(alert)
                done.append(AlertChange(alert_id=alert.alert_id, at=now, sent_at=now))
        return tuple(done)

    def _closed(self, alert: AlertChange) -> None:
        del self._open[alert.alert_id]
        self._done[alert.alert_id] = None
        while len(self._done) > KNOWN:
            del self._done[next(iter(self._done))]

    # For the operator.

    def _try(self, uid: int) -> int:
        number = max(self._trials, default=0) + 1
        self.report(EventType.OPERATOR_COMMAND, {"method": "notify.test", "uid": uid})
        self._trials[number] = dict.fromkeys(self._lines)
        message = Message(text=f"Holdfast: a trial message, asked for by uid {uid}", severity=Severity.INFO)
        for name, line in self._lines.items():
            self._trial_of[name, line.dispatch.beside(message)] = number
        while len(self._trials) > TRIALS_KEPT:
            del self._trials[next(iter(self._trials))]
        return number

    def _shown(self) -> Mapping[str, object]:
        channels = {
            name: {"waiting": len(line.outbox), "failures": line.outbox.failures, "error": line.outbox.reason}
            for name, line in self._lines.items()
        }
        return {**self._counts, "waiting": len(self._open), "channels": channels}
