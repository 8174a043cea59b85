"""The market feed: mark prices of one account's venue, given to those positions alone that have something to decide.

The stream is read on an event loop; the prices are judged in the actor's thread against the bands that the positions
have told (`domain.market.bands`). A feed that was restarted asks for the bands again; prices missed meanwhile reach a
position as soon as it tells its band, by the next price.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from loguru import logger

from actors import messages
from actors.guard import ActorContext, GuardedActor
from actors.loop import EventLoop
from actors.marks import Mark, Marks
from actors.messages import FeedStarted, FeedState, FromStream, Health, Prices, StreamBroke, Tick, Unwatch, Watch
from actors.owners import Owners
from actors.recording import Recorder
from actors.reporting import ReportingActor
from adapters.exchange.interface import Connected, Lost, MarkPrice, PriceStream
from domain.catalogue import EventType
from domain.decimals import plain
from domain.identity import PositionId
from domain.market.bands import BandIndex

HEARTBEAT_S = 5.0
STALE_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What a market feed is given."""

    account: str
    open_stream: Callable[[], PriceStream]
    symbols: Callable[[], tuple[str, ...]]
    owners: Owners
    marks: Marks
    recorder: Recorder


class MarketFeed(ReportingActor):
    """Prices in, ranges out."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder, wiring.account)
        self._wiring = wiring
        self._loop = EventLoop(f"loop:{context.name}")
        self._bands: BandIndex[PositionId] = BandIndex()
        self._symbols: dict[PositionId, str] = {}
        self._stale: set[str] = set()
        self._connected_at: datetime | None = None
        self._lost: str | None = "not connected yet"
        self._last_at: datetime | None = None

    def started(self) -> None:
        """Open the stream and ask the positions for their bands."""
        self._loop.start()
        stream = self._wiring.open_stream()
        symbols = self._wiring.symbols()
        self._loop.submit(read_stream(lambda: stream.watch(symbols), self))
        for position in self._wiring.owners.all(self._wiring.account):
            if self.directory.newest_incarnation(messages.position(position.id)) is not None:
                self.tell(messages.position(position.id), FeedStarted(account=self._wiring.account))
        self.remind_after(HEARTBEAT_S, Tick())

    def receive(self, message: Any) -> object:
        """A price, a band, or the time."""
        match message:
            case FromStream(news=MarkPrice() as price, passed=passed):
                for extreme in passed or ():
                    self._price(extreme)
                self._price(price)
            case FromStream(news=news):
                self._connection(news)
            case StreamBroke():
                raise RuntimeError(message.error) from message.cause
            case Watch():
                self._watch(message)
            case Unwatch(position_id=position_id):
                self._bands.drop(position_id)
                self._symbols.pop(position_id, None)
                self._stale &= set(self._symbols.values())
            case Tick():
                self._heartbeat()
                self.remind_after(HEARTBEAT_S, Tick())
            case FeedState():
                return self._health()
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    def stopping(self) -> None:
        """Close the stream."""
        self._loop.close()

    def perished(self) -> None:
        """A dead feed reads nothing any more."""
        self._loop.close(seconds=0)

    def _price(self, price: MarkPrice) -> None:
        if not price.price.is_finite() or price.price <= 0:
            # Venues say 0 for a contract that does not trade yet; for one that does, silence is judged as silence.
            logger.debug("PRICE_UNUSABLE account={} symbol={} price={}", self.account, price.symbol, price.price)
            return
        now = self.clock.now()
        self._last_at = now
        self._wiring.marks.put(
            self._wiring.account, price.symbol, Mark(price=price.price, at=price.at, heard_at=now)
        )
        for position_id, prices in self._bands.price(price.symbol, price.price, price.at):
            self.tell(messages.position(position_id), Prices(range=prices))
        if price.symbol in self._stale:
            self._stale.discard(price.symbol)
            self.report(EventType.PRICE_FRESH, {"mark_price": plain(price.price)}, symbol=price.symbol)

    def _watch(self, watch: Watch) -> None:
        self._symbols[watch.position_id] = watch.symbol
        due = self._bands.register(watch.position_id, watch.symbol, watch.low, watch.high)
        if due is not None:
            self.tell(messages.position(watch.position_id), Prices(range=due))

    def _heartbeat(self) -> None:
        """Now and then everybody hears what passed, so that an idle position knows its price."""
        now = self.clock.now()
        for position_id, symbol in self._symbols.items():
            prices = self._bands.heartbeat(position_id)
            if prices is not None:
                self.tell(messages.position(position_id), Prices(range=prices))
            mark = self._wiring.marks.get(self._wiring.account, symbol)
            silent = mark is None or now - mark.heard_at > timedelta(seconds=STALE_S)
            if silent and symbol not in self._stale:
                self._stale.add(symbol)
                since = None if mark is None else mark.heard_at.isoformat()
                self.report(EventType.PRICE_STALE, {"last_heard": since, "limit_s": int(STALE_S)}, symbol=symbol)

    def _connection(self, news: object) -> None:
        match news:
            case Connected(at=at):
                self._connected_at, self._lost = at, None
                self.report(EventType.STREAM_CONNECTED, {"stream": "mark prices"})
            case Lost(at=at, reason=reason):
                self._connected_at, self._lost = at, reason
                self.report(EventType.STREAM_LOST, {"stream": "mark prices", "error": reason})

    def _health(self) -> Health:
        if self._lost is not None:
            state, reason = "down", self._lost
        elif self._stale:
            state, reason = "degraded", f"no price for {', '.join(sorted(self._stale))}"
        else:
            state, reason = "healthy", ""
        return Health(state=state, reason=reason, since=self._connected_at, last_at=self._last_at)


async def read_stream(watch: Callable[[], Any], actor: GuardedActor) -> None:
    """Hand everything a stream yields to its actor; an end that nobody ordered makes the actor crash and start anew."""
    try:
        async for news in watch():
            actor.remind(FromStream(news=news))
    except Exception as error:  # noqa: BLE001 - it becomes the actor's own crash, with its cause
        actor.remind(StreamBroke(error=f"{type(error).__name__}: {error}", cause=error))
        return
    actor.remind(StreamBroke(error="the stream ended by itself", cause=RuntimeError("end of stream")))
