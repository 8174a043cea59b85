"""The notifier: carries alerts to humans, from a durable outbox, without ever holding up anybody.

An alert is in the outbox (the database) in the transaction of what it tells about. It is marked sent only after a
channel took it; what a crash left unsent is found at the next start. Delivery may repeat, it is never lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from loguru import logger

from actors import messages
from actors.guard import ActorContext
from actors.messages import AlertsRaised, Show, Tick, Write
from actors.recording import Recorder
from actors.reporting import ReportingActor
from adapters.channels.interface import Channel, NotDelivered
from domain.catalogue import Severity
from domain.records import AlertChange
from persistence.database import DatabaseAway

RETRY_S = 5.0
KNOWN_SENT = 2000
DELIVER_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the notifier is given. `pending` reads the outbox. Raises DatabaseAway."""

    channels: tuple[Channel, ...]
    pending: Callable[[], Sequence[dict[str, Any]]]
    recorder: Recorder


class Notifier(ReportingActor):
    """Delivers and marks."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder)
        self._wiring = wiring
        self._sent: dict[str, None] = {}
        self._unsent: dict[str, AlertChange] = {}
        self._taken: dict[str, set[str]] = {}
        self._errors: dict[str, str] = {}
        self._read = False
        self._counts = {"sent": 0, "failed": 0}

    def started(self) -> None:
        """Take up what an earlier life left."""
        self._load()
        self.remind_after(RETRY_S, Tick())

    def receive(self, message: Any) -> object:
        """Alerts, or the time to try again."""
        match message:
            case AlertsRaised(alerts=alerts):
                for alert in alerts:
                    self._deliver(alert)
            case Tick():
                if not self._read:
                    self._load()
                for alert in tuple(self._unsent.values()):
                    self._deliver(alert)
                self.remind_after(RETRY_S, Tick())
            case Show():
                return {**self._counts, "waiting": len(self._unsent)}
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    def _load(self) -> None:
        try:
            rows = self._wiring.pending()
        except DatabaseAway as away:
            logger.warning("OUTBOX_UNREAD error={!r}", str(away))
            return
        self._read = True
        for row in rows:
            self._deliver(
                AlertChange(
                    alert_id=str(row["alert_id"]),
                    at=row["raised_at"],
                    severity=Severity(row["severity"]),
                    type=row["type"],
                    text=row["text"],
                    symbol=row["symbol"],
                )
            )

    def _deliver(self, alert: AlertChange) -> None:
        if alert.alert_id in self._sent:
            return
        taken = self._taken.setdefault(alert.alert_id, set())
        failures: list[str] = []
        for channel in self._wiring.channels:
            if channel.name in taken:
                continue
            self.beat(patience_s=DELIVER_LIMIT_S)
            try:
                channel.deliver(alert)
                taken.add(channel.name)
            except NotDelivered as failure:
                failures.append(f"{channel.name}: {failure}")
        if failures:
            self._failed(alert, "; ".join(failures))
            return
        for table in (self._unsent, self._taken, self._errors):
            table.pop(alert.alert_id, None)
        self._sent[alert.alert_id] = None
        while len(self._sent) > KNOWN_SENT:
            del self._sent[next(iter(self._sent))]
        self._counts["sent"] += 1
        now = self.clock.now()
        self._mark(AlertChange(alert_id=alert.alert_id, at=now, sent_at=now))

    def _failed(self, alert: AlertChange, error: str) -> None:
        """It stays queued. Written down when it fails in a new way, not at every attempt."""
        self._unsent[alert.alert_id] = alert
        self._counts["failed"] += 1
        if self._errors.get(alert.alert_id) != error:
            self._errors[alert.alert_id] = error
            self._mark(AlertChange(alert_id=alert.alert_id, at=self.clock.now(), error=error))

    def _mark(self, change: AlertChange) -> None:
        self.tell(messages.JOURNAL, Write(record=self.recorder.record(self.clock.now(), alerts=(change,))))
