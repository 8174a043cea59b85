"""How a source's signals reach the desk: stored in one record with the events that tell of them, and only then told.

Every source goes this way, so that none can have a signal acted on which no database or spool holds (LAWS S10).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

from actors import messages
from actors.messages import SignalsStored, Write
from actors.recording import log, plain_event
from actors.reporting import ReportingActor
from actors.ticket import Ticket
from domain.catalogue import EventType
from domain.entries.signal import Signal
from domain.records import Event, StoredSignal


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A signal and what it was made of: the frame's own object, or the figures that decided it. JSON-ready."""

    signal: Signal
    raw: Mapping[str, object]


class SignalStore:
    """The signals of one source on their way. `keep` is called in the source's thread."""

    def __init__(self, source: ReportingActor) -> None:
        """Writes and tells in the name of `source`, which refuses to speak once it is fenced."""
        self._source = source
        self._lock = threading.Lock()
        self._writing: deque[Ticket] = deque()

    def keep(self, received: Sequence[Received], events: Sequence[Event] = ()) -> None:
        """Write these signals and events as one record; the desk hears of the signals when it is durable."""
        source = self._source
        now = source.clock.now()
        told = [*events, *(_received_event(each.signal, source) for each in received)]
        log(told)
        stored = tuple(_stored(each, source) for each in received)
        record = source.recorder.record(now, events=told, signals=stored)
        ticket = Ticket(record)
        self.not_durable()  # lets go of those that are: not every source asks
        with self._lock:
            self._writing.append(ticket)
        signals = tuple(each.signal for each in received)
        then = (messages.ENTRY_DESK, SignalsStored(signals=signals)) if signals else None
        source.tell(messages.JOURNAL, Write(record=record, ticket=ticket, then=then))

    def behind(self) -> timedelta:
        """For how long the oldest record that is not durable has been on its way."""
        self.not_durable()
        with self._lock:
            oldest = next(iter(self._writing), None)
        return timedelta(0) if oldest is None else self._source.clock.now() - oldest.record.at

    def not_durable(self) -> int:
        """How many records are not durable yet; from any thread."""
        with self._lock:
            while self._writing and self._writing[0].settled:
                self._writing.popleft()
            return len(self._writing)


def _received_event(signal: Signal, source: ReportingActor) -> Event:
    wish = {"signal": signal.id, "action": signal.action.value, "wave": signal.wave}
    at = source.clock.now()
    return plain_event(EventType.SIGNAL_RECEIVED, at, wish, symbol=signal.symbol, correlation_id=signal.id)


def _stored(received: Received, source: ReportingActor) -> StoredSignal:
    fields = {**asdict(received.signal), "action": received.signal.action.value}
    fields["signal_id"] = fields.pop("id")
    return StoredSignal(received_at=source.clock.now(), raw=received.raw, source=source.name, **fields)
