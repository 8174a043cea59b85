"""The signal feed: signals are stored before anybody acts on them; what is no signal is recorded and skipped.

In paper mode without a signal server it serves the built-in demo source and listens to it like to any other.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from actors import messages
from actors.guard import ActorContext
from actors.loop import EventLoop
from actors.market_feed import read_stream
from actors.messages import FeedState, FromStream, Health, SignalsStored, StreamBroke, Write
from actors.recording import Recorder, log, plain_event
from actors.reporting import ReportingActor
from adapters.signals.client import BadFrame, FeedDown, FeedUp, SignalClient, Signals
from adapters.signals.demo_source import DemoSource
from domain.catalogue import EventType
from domain.entries.signal import MalformedSignal, Signal, parse_signal
from domain.records import Event, StoredSignal

DEGRADED_AFTER = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the signal feed is given. `demo` makes the built-in source, or is None. `last_id` reads the database."""

    url: str
    token: str
    demo: Callable[[], DemoSource] | None
    last_id: Callable[[], str | None]
    recorder: Recorder


class SignalFeed(ReportingActor):
    """Frames in, stored signals out."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder)
        self._wiring = wiring
        self._loop = EventLoop(f"loop:{context.name}")
        self._demo: DemoSource | None = None
        self._up_since: datetime | None = None
        self._down: str | None = "not connected yet"
        self._failures = 0
        self._last_at: datetime | None = None
        self._last_id: str | None = None

    def started(self) -> None:
        """Connect, to the demo source's own server where there is no other."""
        self._loop.start()
        url = self._wiring.url
        if self._wiring.demo is not None:
            self._demo = self._wiring.demo()
            url = self._loop.submit(self._demo.start()).result(timeout=5)
        client = SignalClient(url, self._wiring.token, self._last_stored)
        self._loop.submit(read_stream(client.watch, self))

    def receive(self, message: Any) -> object:
        """News of the connection, or frames."""
        match message:
            case FromStream(news=Signals(raw=raw)):
                self._signals(raw)
            case FromStream(news=BadFrame() as bad):
                self.report(EventType.SIGNAL_MALFORMED, {"error": bad.error, "frame": bad.begins})
            case FromStream(news=FeedUp(url=url)):
                self._up_since, self._down, self._failures = self.clock.now(), None, 0
                self.report(EventType.SIGNAL_FEED_CONNECTED, {"url": url})
            case FromStream(news=FeedDown() as down):
                self._failures += 1
                self._down = down.reason
                data = {"error": down.reason, "pause_s": str(down.pause_s), "failures": self._failures}
                self.report(EventType.SIGNAL_FEED_LOST, data)
            case StreamBroke():
                raise RuntimeError(message.error) from message.cause
            case FeedState():
                return self._health()
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    def stopping(self) -> None:
        """Close the connection, and the demo source with it."""
        if self._demo is not None:
            self._loop.submit(self._demo.close()).result(timeout=3)
        self._loop.close()

    def perished(self) -> None:
        """A dead feed hears nothing any more."""
        self._loop.close(seconds=0)

    def _last_stored(self) -> str | None:
        return self._last_id or self._wiring.last_id()

    def _signals(self, raw: tuple[object, ...]) -> None:
        now = self.clock.now()
        good: list[Signal] = []
        stored: list[StoredSignal] = []
        events: list[Event] = []
        for each in raw:
            try:
                signal = parse_signal(each)
            except MalformedSignal as bad:
                data = {"error": str(bad), "frame": repr(each)[:200]}
                events.append(plain_event(EventType.SIGNAL_MALFORMED, now, data, error=str(bad)))
                continue
            good.append(signal)
            fields = {**asdict(signal), "action": signal.action.value}
            fields["signal_id"] = fields.pop("id")
            stored.append(StoredSignal(received_at=now, raw=_storable(each), **fields))
            wish = {"signal": signal.id, "action": signal.action.value, "wave": signal.wave}
            received = plain_event(EventType.SIGNAL_RECEIVED, now, wish, symbol=signal.symbol, correlation_id=signal.id)
            events.append(received)
        log(events)
        if not stored and not events:
            return
        self._last_at = now
        record = self.recorder.record(now, events=events, signals=tuple(stored))
        then = (messages.ENTRY_DESK, SignalsStored(signals=tuple(good))) if good else None
        self.tell(messages.JOURNAL, Write(record=record, then=then))
        if good:
            self._last_id = good[-1].id

    def _health(self) -> Health:
        if self._down is None:
            return Health(state="healthy", reason="", since=self._up_since, last_at=self._last_at)
        state = "degraded" if self._failures <= DEGRADED_AFTER and self._up_since is not None else "down"
        return Health(state=state, reason=self._down, since=self._up_since, last_at=self._last_at)


def _storable(raw: object) -> dict[str, object]:
    """The frame's own object as the database takes it: a NUL is the one character that it refuses."""
    stored: dict[str, object] = json.loads(json.dumps(raw, default=str).replace("\\u0000", ""))
    return stored
