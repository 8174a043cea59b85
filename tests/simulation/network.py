"""The network between a process and the exchange: `TradingClient`, `PriceStream` and `AccountStream` that fail.

A request has a way there, a moment at the exchange, and a way back; each takes its time and each can fail. What was
sent arrives even if its sender dies meanwhile. What a failure means to the caller is said as `outcomes` would say it:
certainly without effect, or unknown. The oracle is told of disturbances that leave no line in its timeline.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from adapters.exchange import binance
from adapters.exchange.access import AccountAccess
from adapters.exchange.error_codes import BINANCE, Effect, Meaning
from adapters.exchange.interface import (
    AccountNews,
    Allowance,
    Balance,
    Candle,
    Connected,
    Holding,
    Lost,
    MarkPrice,
    PriceNews,
    VenueFailure,
)
from adapters.paper_exchange.orders import Price
from domain.accounts import AccountFacts, MarginMode
from domain.entries.situation import Quote
from domain.identity import OrderKind
from domain.instrument import Instrument, PositionSide
from domain.orders import (
    Accepted,
    AccountSnapshot,
    Answer,
    CancelOutcome,
    CancelResult,
    Fill,
    Found,
    NoAnswer,
    NotFound,
    OrderIntent,
    OrderRef,
    OrderReport,
    Outcome,
    PositionReport,
    Rejected,
    RejectReason,
    Unknown,
)
from tests.candles import folded
from tests.simulation import reports
from tests.simulation.faults import Fault, Faults
from tests.simulation.scheduler import SECOND, Host, Scheduler
from tests.simulation.venue import RECEIVE_WINDOW_MS, News, SimulatedExchange, VenueCode

T = TypeVar("T")
N = TypeVar("N")
PATIENCE_S = AccountAccess(account="", exchange="", api_key="", secret="").timeout_s
PROOF_AFTER = timedelta(milliseconds=RECEIVE_WINDOW_MS + 1_000)
SILENCE_NOTICED_S = 5.0
LONGEST_LAG_MS = 800
BACK_OFF_S = (0.3, 2.0)
_REFUSED_BY_VENUE = ((Fault.SERVER_ERROR, -1000, 503), (Fault.TIMEOUT_CODE, -1007, 408))


@dataclass(slots=True)
class Weather:
    """What the network is like now: times are those until which (µs) something does not work."""

    way_s: tuple[float, float] = (0.004, 0.03)
    news_s: tuple[float, float] = (0.003, 0.04)
    rest_dead_until: int = 0
    streams_dead_until: int = 0


@dataclass(eq=False, slots=True)
class Subscriber(Generic[N]):
    """One open stream: where its news goes."""

    host: Host
    hear: Callable[[N], object]
    closed: Callable[[], bool]
    connected: bool = False
    deaf_until: int = 0
    generation: int = 0


@dataclass(eq=False)
class Network:
    """All ways to the exchange."""

    scheduler: Scheduler
    exchange: SimulatedExchange
    faults: Faults
    chance: random.Random
    start: datetime
    weather: Weather = field(default_factory=Weather)
    prices: list[Subscriber[PriceNews]] = field(default_factory=list)
    accounts: list[Subscriber[AccountNews]] = field(default_factory=list)
    filled: set[str] = field(default_factory=set)
    """Client ids of which a process has heard an execution."""
    unanswered: list[tuple[int, int, str | None]] = field(default_factory=list)
    """Requests that nobody will answer: from when until when (venue ms) their sender waits, and for which symbol."""
    point: Callable[[str], object] = lambda _what: None
    """Called wherever a kill -9 would be of interest."""

    def __post_init__(self) -> None:
        self.exchange.publish = self.publish
        self.exchange.marks = self.mark

    def now(self) -> datetime:
        """Venue time."""
        return self.start + timedelta(microseconds=self.scheduler.now)

    def disturb(self, symbol: str | None, why: str) -> None:
        """Tell the oracle what it cannot see."""
        self.exchange.judge.court.disturbed(self.exchange.clock(), symbol, why)

    # Streams.

    def publish(self, news: News) -> None:
        """The exchange tells its account's streams."""
        for subscriber in list(self.accounts):
            self._send(self.accounts, subscriber, news, news.symbol)

    def mark(self, price: Price) -> None:
        """The exchange tells a price."""
        told = MarkPrice(symbol=price.symbol, price=price.mark, at=self.now())
        for subscriber in list(self.prices):
            self._send(self.prices, subscriber, told, None)

    def _send(self, table: list[Subscriber[N]], subscriber: Subscriber[N], news: N, symbol: str | None) -> None:
        if not subscriber.host.alive or subscriber.closed():
            table.remove(subscriber)
            return
        if not subscriber.connected or self.scheduler.now < subscriber.deaf_until:
            return
        if symbol is not None:
            if self.faults.strikes(Fault.STREAM_CUT, symbol):
                self.cut(subscriber, self.chance.uniform(*BACK_OFF_S))
                return
            if self.faults.strikes(Fault.STREAM_SILENT, symbol):
                subscriber.deaf_until = self.scheduler.now + round(SILENCE_NOTICED_S * SECOND)
                self.disturb(None, "the private stream is silent")
                self.scheduler.after(SILENCE_NOTICED_S, lambda: self.cut(subscriber, 0.3), subscriber.host)
                return
            if self.faults.strikes(Fault.NEWS_MISSING, symbol):
                self.disturb(symbol, "a message of the private stream was lost")
                return
        delay = self.chance.uniform(*self.weather.news_s)
        if symbol is not None and self.faults.strikes(Fault.NEWS_LATE, symbol):
            delay = self.chance.uniform(0.2, 3.0)
            self.disturb(symbol, "a message of the private stream was late")
        self._deliver(subscriber, news, delay)
        if symbol is not None and self.faults.strikes(Fault.NEWS_DOUBLED, symbol):
            self._deliver(subscriber, news, delay + self.chance.uniform(0.0, 1.0))

    def _deliver(self, subscriber: Subscriber[N], news: N, delay: float) -> None:
        generation = subscriber.generation

        def arrive() -> None:
            if subscriber.connected and subscriber.generation == generation:
                self.point("news")
                if isinstance(news, Fill) and news.client_id is not None:
                    self.filled.add(news.client_id)
                subscriber.hear(news)

        self.scheduler.after(delay, arrive, subscriber.host)

    def cut(self, subscriber: Subscriber[N], pause_s: float) -> None:
        """A connection breaks and is made again."""
        if subscriber.connected:
            subscriber.connected = False
            subscriber.generation += 1
            self.disturb(None, "a stream was cut")
            subscriber.hear(Lost(at=self.now(), reason="connection reset"))  # type: ignore[arg-type]
            self.scheduler.after(pause_s, lambda: self.connect(subscriber), subscriber.host)

    def connect(self, subscriber: Subscriber[N]) -> None:
        """Open a connection, as soon as streams can be opened."""
        waits = self.weather.streams_dead_until - self.scheduler.now
        if waits > 0:
            self.scheduler.after(waits / SECOND + 0.2, lambda: self.connect(subscriber), subscriber.host)
            return
        subscriber.connected, subscriber.deaf_until = True, 0
        subscriber.hear(Connected(at=self.now()))  # type: ignore[arg-type]

    def streams_die(self, seconds: float) -> None:
        """All streams break, and none can be opened for so long."""
        self.weather.streams_dead_until = self.scheduler.now + round(seconds * SECOND)
        for subscriber in list(self.accounts):
            self.cut(subscriber, 0.2)
        for priced in list(self.prices):
            self.cut(priced, 0.2)

    # Requests.

    async def ask(self, host: Host, sent_ms: int, symbol: str | None, question: Callable[[], T], *, writes: bool) -> T:
        """One request. Raises VenueFailure; `certain` says whether nothing can have come of it."""
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[T] = loop.create_future()
        faults, weather = self.faults, self.weather
        if self.scheduler.now < weather.rest_dead_until or faults.strikes(Fault.REFUSED_CONNECTION, symbol):
            self.disturb(symbol, "a connection was refused")
            await asyncio.sleep(self.chance.uniform(0.001, 0.05))
            raise VenueFailure(RejectReason.TRANSIENT, "ConnectionRefused", "connection refused", certain=True)
        there, back = self.chance.uniform(*weather.way_s), self.chance.uniform(*weather.way_s)
        if faults.strikes(Fault.REQUEST_LATE, symbol):
            there = self.chance.uniform(1.5, 6.0)
            self.disturb(symbol, "a request was late")
            self._unanswered(symbol)
        if faults.strikes(Fault.REPLY_SLOW, symbol):
            back = self.chance.uniform(0.2, 2.5)
        if faults.strikes(Fault.REQUEST_LOST, symbol):
            self.disturb(symbol, "a request was lost")
            self._unanswered(symbol)
            there = 3600.0
        self.point("request")

        def answer(value: T | None, failure: VenueFailure | None) -> None:
            if reply.done():
                return
            self.point("reply")
            if failure is not None:
                reply.set_exception(failure)
            else:
                reply.set_result(value)  # type: ignore[arg-type]

        def arrive() -> None:
            value, failure = self._at_the_exchange(sent_ms, symbol, question, writes=writes)
            if faults.strikes(Fault.REPLY_LOST, symbol):
                self.disturb(symbol, "a reply was lost")
                self._unanswered(symbol)
                return
            self.scheduler.after(back, lambda: loop.call_soon(answer, value, failure), host)

        # Not bound to the host: what was sent arrives though its sender dies.
        if there < 3600:
            self.scheduler.after(there, arrive)
        given_up = VenueFailure(RejectReason.TRANSIENT, "RequestTimeout", f"no reply in {PATIENCE_S} s", certain=False)
        limit = loop.call_later(PATIENCE_S, answer, None, given_up)
        try:
            return await reply
        finally:
            limit.cancel()

    def _unanswered(self, symbol: str | None) -> None:
        now = self.exchange.clock()
        self.unanswered.append((now, now + round(PATIENCE_S * 1000), symbol))

    def _at_the_exchange(
        self, sent_ms: int, symbol: str | None, question: Callable[[], T], *, writes: bool
    ) -> tuple[T | None, VenueFailure | None]:
        faults = self.faults
        skewed = self.exchange.clock() - sent_ms > RECEIVE_WINDOW_MS or sent_ms - self.exchange.clock() > 1_000
        if skewed or faults.strikes(Fault.CLOCK_CODE, symbol):
            self.disturb(symbol, "a request was outside the receive window")
            return None, _failure(VenueCode(-1021))
        if faults.strikes(Fault.RATE_LIMIT, symbol):
            self.disturb(symbol, "rate limited")
            return None, replace_retry(_failure(VenueCode(-1003, 429)), 2)
        for fault, code, status in _REFUSED_BY_VENUE:
            if faults.strikes(fault, symbol):
                self.disturb(symbol, fault.value)
                if self.chance.random() < 0.5 or not writes:
                    return None, _failure(VenueCode(code, status))
                with suppress(VenueCode):
                    question()
                return None, _failure(VenueCode(code, status))
        try:
            value = question()
        except VenueCode as error:
            return None, _failure(error)
        return value, None


def _failure(error: VenueCode) -> VenueFailure:
    meaning = BINANCE.meanings.get(str(error.code), Meaning(RejectReason.OTHER))
    certain = meaning.effect not in (Effect.UNKNOWN, Effect.EXISTS)
    failure = VenueFailure(meaning.reason, str(error.code), f"code {error.code}", certain=certain)
    failure.gone = meaning.effect is Effect.GONE  # type: ignore[attr-defined]
    return failure


def replace_retry(failure: VenueFailure, seconds: int) -> VenueFailure:
    """The same failure, with what the venue asks to wait."""
    failure.retry_after_s = seconds
    return failure


class SimulatedClient:
    """`TradingClient` of one process."""

    limits = binance.CAPABILITIES.limits
    allowance = Allowance()

    def __init__(self, network: Network, host: Host, clock: Callable[[], datetime]) -> None:
        self._network = network
        self._host = host
        self._clock = clock
        self._ahead = timedelta(0)
        self._account = "main"

    def venue_now(self) -> datetime:
        """The venue's time, by the last synchronisation."""
        return self._clock() - self._ahead

    async def connect(self) -> Mapping[str, Instrument]:
        """Markets and clock."""
        await self.synchronise()
        return self._instruments()

    async def instruments(self) -> Mapping[str, Instrument]:
        """Markets."""
        return await self._ask(None, self._instruments, stamped=False)

    async def synchronise(self) -> None:
        """Clock."""
        await self._ask(None, lambda: None, stamped=False)
        self._ahead = self._clock() - self._network.now()

    async def account_facts(self) -> AccountFacts:
        """An account as it should be."""
        book = self._network.exchange.engine.book
        return AccountFacts(
            read_at=self._clock(),
            hedge_mode=False,
            margin_mode=MarginMode.CROSS,
            wallet=book.wallet,
            total=book.margin_balance(),
            free=book.available(),
        )

    def _instruments(self) -> Mapping[str, Instrument]:
        contracts = self._network.exchange.engine.contracts
        return {symbol: reports.instrument(contract) for symbol, contract in contracts.items()}

    async def place(self, intent: OrderIntent) -> Outcome:
        """Send one order, once."""
        sent_at = self._clock()
        try:
            report = await self._ask(intent.symbol, lambda: self._placed(intent), writes=True)
        except VenueFailure as failure:
            if failure.certain:
                return Rejected(
                    client_id=intent.client_id,
                    reason=failure.reason,
                    code=failure.code,
                    text=failure.text,
                    sent_at=sent_at,
                    retry_after_s=failure.retry_after_s,
                )
            proof = sent_at + PROOF_AFTER
            return Unknown(client_id=intent.client_id, text=str(failure), sent_at=sent_at, absence_proof_at=proof)
        if intent.client_id in self._network.filled:
            self._network.faults.count(Fault.FILL_BEFORE_REPLY, intent.symbol)
        return Accepted(
            client_id=intent.client_id,
            exchange_id=report.exchange_id,
            report=report,
            sent_at=sent_at,
            answered_at=self._clock(),
        )

    def _placed(self, intent: OrderIntent) -> OrderReport:
        exchange, faults, symbol = self._network.exchange, self._network.faults, intent.symbol
        if intent.kind is OrderKind.STOP:
            if faults.strikes(Fault.STOP_WOULD_TRIGGER, symbol):
                raise exchange.refuse(intent, -2021)
            if faults.strikes(Fault.STOP_LIMIT, symbol):
                raise exchange.refuse(intent, -4045)
            if faults.strikes(Fault.STOP_MARGIN, symbol):
                raise exchange.refuse(intent, -2019)
        elif intent.kind is OrderKind.EXIT and faults.strikes(Fault.EXIT_REFUSED, symbol):
            raise exchange.refuse(intent, -4131)
        elif intent.kind is OrderKind.ENTRY and faults.strikes(Fault.ENTRY_REFUSED, symbol):
            raise exchange.refuse(intent, -2019)
        return exchange.place(intent)

    async def cancel(self, ref: OrderRef) -> CancelOutcome:
        """Cancel one order."""
        try:
            await self._ask(ref.symbol, lambda: self._network.exchange.cancel(ref), writes=True)
        except VenueFailure as failure:
            result = CancelResult.REFUSED if failure.certain else CancelResult.UNKNOWN
            if getattr(failure, "gone", False):
                result = CancelResult.GONE
            return CancelOutcome(
                ref=ref, result=result, code=failure.code, text=failure.text, answered_at=self._clock()
            )
        return CancelOutcome(ref=ref, result=CancelResult.DONE, code="", text="", answered_at=self._clock())

    async def find(self, ref: OrderRef) -> Answer:
        """Ask what became of one order."""
        asked_at = self._clock()
        try:
            report = await self._ask(ref.symbol, lambda: self._found(ref))
        except VenueFailure as failure:
            if getattr(failure, "gone", False):
                return NotFound(ref=ref, asked_at=asked_at)
            return NoAnswer(ref=ref, text=str(failure), retry_after_s=failure.retry_after_s)
        return Found(ref=ref, report=report, asked_at=asked_at)

    def _found(self, ref: OrderRef) -> OrderReport:
        report = self._network.exchange.find(ref)
        young = self._network.now() - report.at < timedelta(milliseconds=RECEIVE_WINDOW_MS - 200)
        if young and ref.exchange_id is None and self._network.faults.strikes(Fault.DENIED, ref.symbol):
            raise VenueCode(-2013)
        return report

    async def snapshot(self, held: Collection[Holding] = ()) -> AccountSnapshot:
        """Positions and open orders, three requests at the same time. Raises VenueFailure."""
        asked_at = self._clock()
        at_ms = self._stamp()
        try:
            async with asyncio.TaskGroup() as together:
                positions = together.create_task(self._ask(None, lambda: self._positions(at_ms)))
                ordinary = together.create_task(self._ask(None, lambda: self._orders(conditional=False)))
                conditional = together.create_task(self._ask(None, lambda: self._orders(conditional=True)))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return AccountSnapshot(
            account=self._account,
            asked_at=asked_at,
            answered_at=self._clock(),
            positions=positions.result(),
            orders=(*ordinary.result(), *conditional.result()),
        )

    async def symbol_snapshot(self, symbol: str, *, rows: bool = True) -> AccountSnapshot:
        """One symbol's open orders and, if wanted, its row, asked at the same time. Raises VenueFailure."""
        asked_at = self._clock()
        at_ms = self._stamp()
        exchange = self._network.exchange
        try:
            async with asyncio.TaskGroup() as together:
                row = (
                    together.create_task(self._ask(symbol, lambda: exchange.position(symbol, at_ms, self._lag())))
                    if rows
                    else None
                )
                ordinary = together.create_task(self._ask(symbol, lambda: self._orders(conditional=False, of=symbol)))
                conditional = together.create_task(self._ask(symbol, lambda: self._orders(conditional=True, of=symbol)))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return AccountSnapshot(
            account=self._account,
            asked_at=asked_at,
            answered_at=self._clock(),
            positions=() if row is None else (row.result(),),
            orders=(*ordinary.result(), *conditional.result()),
        )

    def _positions(self, at_ms: int) -> tuple[PositionReport, ...]:
        rows = self._network.exchange.positions(at_ms, self._lag())
        if self._network.faults.strikes(Fault.MISSING_ROW):
            missing = self._network.chance.randrange(len(rows))
            rows = rows[:missing] + rows[missing + 1 :]
        if not rows:
            raise VenueCode(-1000, 503)  # the adapter takes an empty list for a failure: it lists every symbol
        return rows

    def _orders(self, *, conditional: bool, of: str | None = None) -> tuple[OrderReport, ...]:
        faults = self._network.faults
        if faults.strikes(Fault.FAILED_PAGE):
            raise VenueCode(-1000, 503)
        rows = self._network.exchange.open_orders(conditional=conditional, of=of)
        return () if faults.strikes(Fault.EMPTY_LIST) else rows

    def _lag(self) -> int:
        stale = self._network.faults.strikes(Fault.STALE_READING)
        return self._network.chance.randrange(50, LONGEST_LAG_MS) if stale else 0

    async def position(self, symbol: str, side: PositionSide | None) -> PositionReport:
        """One position. Raises VenueFailure."""
        at_ms = self._stamp()
        return await self._ask(symbol, lambda: self._network.exchange.position(symbol, at_ms, self._lag()))

    async def fills(self, symbol: str, since: datetime) -> tuple[Fill, ...]:
        """All executions on a symbol since a time. Raises VenueFailure."""
        since_ms = (since - reports.EPOCH) // timedelta(milliseconds=1)
        return await self._ask(symbol, lambda: self._network.exchange.fills(symbol, since_ms))

    async def balance(self) -> Balance:
        """Margin balance. Raises VenueFailure."""
        wallet, total, free = await self._ask(None, self._network.exchange.money)
        return Balance(currency="USDT", wallet=wallet, total=total, free=free)

    async def mark_price(self, symbol: str) -> MarkPrice:
        """The mark price now. Raises VenueFailure."""
        price = await self._ask(symbol, lambda: self._network.exchange.engine.book.prices[symbol])
        return MarkPrice(symbol=symbol, price=price.mark, at=reports.instant(price.time))

    async def quote(self, symbol: str) -> Quote:
        """Bid and ask now. Raises VenueFailure."""
        bid, ask = await self._ask(symbol, lambda: self._network.exchange.best_prices(symbol))
        return Quote(bid=bid, ask=ask)

    async def mark_candles(self, symbol: str, since: datetime) -> tuple[Candle, ...]:
        """One-minute candles of the mark price. Raises VenueFailure."""
        since_ms = (since - reports.EPOCH) // timedelta(milliseconds=1)
        rows = await self._ask(symbol, lambda: self._network.exchange.marks_since(symbol, since_ms))
        return tuple(
            Candle(opened_at=reports.instant(at), open=o, high=h, low=low, close=c) for at, o, h, low, c in rows
        )

    async def closed_candles(
        self, symbol: str, span: timedelta, count: int, closed_at: datetime
    ) -> tuple[Candle, ...]:
        """Closed candles: in here trades are made at the mark. Raises VenueFailure."""
        minutes = await self.mark_candles(symbol, closed_at - count * span)
        return tuple(candle for candle in folded(minutes, span) if candle.opened_at + span <= closed_at)

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        """Set leverage. Raises VenueFailure."""
        await self._ask(symbol, lambda: self._network.exchange.engine.set_leverage(symbol, leverage))

    async def close(self) -> None:
        """Nothing is kept open."""

    def _stamp(self) -> int:
        return (self._clock() - self._ahead - reports.EPOCH) // timedelta(milliseconds=1)

    async def _ask(
        self, symbol: str | None, question: Callable[[], T], *, writes: bool = False, stamped: bool = True
    ) -> T:
        sent_ms = self._stamp() if stamped else self._network.exchange.clock()
        try:
            return await self._network.ask(self._host, sent_ms, symbol, question, writes=writes)
        except VenueFailure as failure:
            if failure.reason is RejectReason.CLOCK:
                self._ahead = self._clock() - self._network.now()
            raise


class _Queued(Generic[N]):
    """A stream's news on its way to whoever reads it."""

    def __init__(self, network: Network, host: Host, table: list[Subscriber[N]]) -> None:
        loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[N] = asyncio.Queue()
        subscriber: Subscriber[N] = Subscriber(
            host=host, hear=lambda news: loop.call_soon(self._queue.put_nowait, news), closed=loop.is_closed
        )
        table.append(subscriber)
        network.scheduler.after(network.chance.uniform(0.02, 0.1), lambda: network.connect(subscriber), host)

    def __aiter__(self) -> AsyncIterator[N]:
        return self

    async def __anext__(self) -> N:
        return await self._queue.get()


class SimulatedPrices:
    """`PriceStream` of one process."""

    def __init__(self, network: Network, host: Host) -> None:
        self._network = network
        self._host = host

    def watch(self, symbols: tuple[str, ...]) -> AsyncIterator[PriceNews]:
        """Prices of all symbols: there are few."""
        return _Queued(self._network, self._host, self._network.prices)

    async def close(self) -> None:
        """Its host's death or its reader's end is enough."""


class SimulatedAccount:
    """`AccountStream` of one process."""

    def __init__(self, network: Network, host: Host) -> None:
        self._network = network
        self._host = host

    def watch(self) -> AsyncIterator[AccountNews]:
        """News of the account."""
        return _Queued(self._network, self._host, self._network.accounts)

    async def close(self) -> None:
        """Its host's death or its reader's end is enough."""
