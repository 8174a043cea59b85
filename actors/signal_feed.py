"""The signal feed: signals are stored before anybody acts on them; what is no signal is recorded and skipped.

In paper mode without a signal server it serves the built-in demo source and listens to it like to any other. Rules of
this file:
- What waits in the mailbox is stored as one record, and the server is read no faster than records become durable, so
  that a flood waits in the server's own socket.
- A server that sends rubbish without end fills neither journal nor outbox: beyond a quota it is only counted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from actors.guard import ActorContext
from actors.loop import EventLoop
from actors.market_feed import read_stream
from actors.messages import FeedState, FromStream, Health, StreamBroke, Tick
from actors.recording import Recorder, plain_event
from actors.reporting import ReportingActor
from actors.signal_store import Received, SignalStore
from adapters.signals.client import BadFrame, FeedDown, FeedUp, News, NotReady, SignalClient, Signals
from adapters.signals.demo_source import DemoSource
from domain.catalogue import EventType
from domain.entries.signal import MalformedSignal, Signal, parse_signal
from domain.records import Event
from persistence.database import DatabaseAway

DEGRADED_AFTER = 3
GROUP = 200
FRAMES_WAITING = 50
RECORDS_WAITING = 4
PACE_S = 0.005
MAX_SIGNAL = 16_384
QUOTA = 100
QUOTA_S = 60.0
BEHIND = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the signal feed is given. `demo` makes the built-in source, or is None. `last_id` raises DatabaseAway."""

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
        self._signals = SignalStore(self)
        self._loop = EventLoop(f"loop:{context.name}")
        self._demo: DemoSource | None = None
        self._up_since: datetime | None = None
        self._down: str | None = "not connected yet"
        self._failures = 0
        self._last_at: datetime | None = None
        self._last_id: str | None = None
        self._raw: list[object] = []
        self._malformed = 0

    def started(self) -> None:
        """Connect, to the demo source's own server where there is no other."""
        self._loop.start()
        url = self._wiring.url
        if self._wiring.demo is not None:
            self._demo = self._wiring.demo()
            url = self._loop.submit(self._demo.start()).result(timeout=5)
        client = SignalClient(url, self._wiring.token, self._last_stored)
        self._loop.submit(read_stream(lambda: self._paced(client), self))

    def receive(self, message: Any) -> object:
        """News of the connection, or frames: stored as soon as nothing more waits, whatever it was that waited."""
        answer: Health | None = None
        match message:
            case FromStream(news=Signals(raw=raw)):
                self._raw.extend(raw)
            case FromStream(news=BadFrame() as bad):
                event = self._wrong(bad.error, bad.begins)
                if event is not None:
                    self._keep((), [event])
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
            case Tick():
                self._quota_over()
            case FeedState():
                answer = self._health()
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        self._store_if_due()
        return answer

    def pinged(self) -> None:
        """The ping may have been what a frame was put off for."""
        self._store_if_due()

    def stopping(self) -> None:
        """Store what has been read, then close the connection, and the demo source with it."""
        self._store()
        if self._demo is not None:
            self._loop.submit(self._demo.close()).result(timeout=3)
        self._loop.close()

    def perished(self) -> None:
        """A dead feed hears nothing any more."""
        self._loop.close(seconds=0)

    async def _paced(self, client: SignalClient) -> AsyncIterator[News]:
        """News no faster than they are dealt with: what is not read waits at the server."""
        async for news in client.watch():
            yield news
            while self.inbox.depth() > FRAMES_WAITING or self._signals.not_durable() > RECORDS_WAITING:  # noqa: ASYNC110
                await asyncio.sleep(PACE_S)  # a mailbox tells nobody that it has shrunk

    def _last_stored(self) -> str | None:
        """The database's word, since it knows the order of receipt; ours only while it is away."""
        try:
            return self._wiring.last_id()
        except DatabaseAway as away:
            if self._last_id is None:
                raise NotReady(f"the last stored signal cannot be read: {away}") from away
            return self._last_id

    def _store_if_due(self) -> None:
        if len(self._raw) >= GROUP or self.inbox.empty():
            self._store()

    def _store(self) -> None:
        """Store what has been collected, a record for each group, and have the desk told of it."""
        raw, self._raw = self._raw, []
        for begin in range(0, len(raw), GROUP):
            self._store_group(raw[begin : begin + GROUP])

    def _store_group(self, raw: Sequence[object]) -> None:
        good: list[Received] = []
        events: list[Event] = []
        for each in raw:
            try:
                good.append(Received(signal=_parsed(each), raw=_as_sent(each)))
            except MalformedSignal as bad:
                event = self._wrong(str(bad), repr(each)[:200])
                events += [event] if event is not None else []
        if good or events:
            self._keep(good, events)

    def _keep(self, good: Sequence[Received], events: Sequence[Event]) -> None:
        self._last_at = self.clock.now()
        self._signals.keep(good, events)
        if good:
            self._last_id = good[-1].signal.id

    def _wrong(self, error: str, frame: str) -> Event | None:
        """The event of something malformed, or None when the quota is used up."""
        self._malformed += 1
        if self._malformed == 1:
            self.remind_after(QUOTA_S, Tick())
        if self._malformed > QUOTA:
            return None
        return plain_event(EventType.SIGNAL_MALFORMED, self.clock.now(), {"error": error, "frame": frame}, error=error)

    def _quota_over(self) -> None:
        more, self._malformed = self._malformed - QUOTA, 0
        if more > 0:
            said = f"{more} more malformed signals or frames within {QUOTA_S:.0f} s"
            self.report(EventType.SIGNAL_MALFORMED, {"error": said, "count": more}, error=said)

    def _health(self) -> Health:
        if self._down is None:
            doubt = self._doubt()
            state = "healthy" if doubt is None else "degraded"
            return Health(state=state, reason=doubt or "", since=self._up_since, last_at=self._last_at)
        state = "degraded" if self._failures <= DEGRADED_AFTER and self._up_since is not None else "down"
        return Health(state=state, reason=self._down, since=self._up_since, last_at=self._last_at)

    def _doubt(self) -> str | None:
        """What is wrong though the server is connected."""
        behind = self._signals.behind()
        if behind > BEHIND:
            return f"signals wait to be stored since {behind.total_seconds():.0f} s"
        if self._malformed:
            return f"{self._malformed} malformed signals or frames within {QUOTA_S:.0f} s"
        return None


def _parsed(raw: object) -> Signal:
    """A signal of a size that can be kept whole. Raises MalformedSignal."""
    signal = parse_signal(raw)
    size = len(json.dumps(raw, default=str))
    if size > MAX_SIGNAL:
        raise MalformedSignal(f"signal={signal.id}: {size} characters, at most {MAX_SIGNAL} are taken")
    return signal


def _as_sent(raw: object) -> dict[str, object]:
    """The frame's own object; its exact numbers as text."""
    sent: dict[str, object] = json.loads(json.dumps(raw, default=str))
    return sent
