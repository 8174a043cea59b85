"""The running exchange: engine, market and timeline held together, whatever the dialect.

Rule: a step of the engine is in the timeline before anyone hears of it. `commit` writes (which survives kill -9) and
then tells the listeners; `durable` waits for the disk (which survives a power loss) and stands before every reply.
All of it runs on one event loop; only the fsync itself runs on a thread.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final, Protocol

from adapters.paper_exchange.book import Book
from adapters.paper_exchange.candle_log import CandleLog
from adapters.paper_exchange.candles import Candle, CandleHistory
from adapters.paper_exchange.codec import Record, from_record, to_record
from adapters.paper_exchange.contracts import Contract
from adapters.paper_exchange.engine import MatchingEngine
from adapters.paper_exchange.orders import Event, Price
from adapters.paper_exchange.requests import Rules
from adapters.paper_exchange.timeline import Timeline

SNAPSHOT_LINES: Final = 20_000
HISTORY_MINUTES: Final = 1_440


class Feed(Protocol):
    """Where the prices of a symbol come from."""

    @property
    def contract(self) -> Contract:
        """The instrument."""

    @property
    def points_per_second(self) -> float:
        """How fast the points follow each other."""

    @property
    def streams_every_point(self) -> bool:
        """True if every point is streamed at once, false if the newest each second."""

    def first(self, now: int) -> Price:
        """The opening point."""

    def following(self, before: Price, now: int) -> Price | None:
        """The point after `before`; None while the price stands still."""

    def history(self, _first: Price, _minutes: int) -> list[Candle]:
        """Candles that lead up to the opening point, oldest first."""

    def listed_as(self, contract: Contract) -> "Feed":
        """The same market under other filters."""


Listener = Callable[[int, list[Event]], None]
EngineMaker = Callable[[dict[str, Contract], Rules, Book], MatchingEngine]


class PaperExchange:
    """One account on one simulated venue, durable."""

    def __init__(
        self,
        state_dir: Path,
        feeds: Mapping[str, Feed],
        rules: Rules,
        clock: Callable[[], int],
        make_engine: EngineMaker = MatchingEngine,
    ) -> None:
        """Take the state directory; raises StateDirInUse, TimelineDamaged, OSError."""
        self._clock = clock
        self.feeds = dict(feeds)
        self.frozen = False
        self.frozen_symbols: set[str] = set()
        self.skew_ms = 0
        # What clients may ask in a span, by the dialect's names, where a test has set it.
        self.request_limits: dict[str, int] = {}
        # What the API key may do; only what a test has changed.
        self.key_rights: dict[str, bool] = {}
        self.candles = CandleHistory()
        self.listeners: list[Listener] = []
        self._timeline = Timeline(state_dir)
        self._candle_log = CandleLog(state_dir / "candles.jsonl")
        self._request: int | None = None
        self._next_sync: asyncio.Future[None] | None = None
        self._syncing: asyncio.Task[None] | None = None
        contracts = {symbol: feed.contract for symbol, feed in feeds.items()}
        self.engine = make_engine(contracts, rules, Book())

    def clock(self) -> int:
        """Venue time in ms: true time and the skew that a test has set."""
        return self._clock() + self.skew_ms

    def true_time(self) -> int:
        """Time in ms without the skew: what the log and the faults go by."""
        return self._clock()

    @property
    def book(self) -> Book:
        """The account's state."""
        return self.engine.book

    def open(self, pid: int, deposit: Decimal, *, history_minutes: int = HISTORY_MINUTES) -> None:
        """Rebuild the state from the log.

        An empty one begins with `deposit` USDT, and each symbol with its feed's past and opening price.
        """
        now = self.clock()
        for candle in self._candle_log.load():
            self.candles.take_candle(candle)
        for record in self._timeline.load():
            self._replay(record)
        self._append(now, [{"kind": "session", "event": "start", "pid": pid}])
        if self.book.balance is None:
            self.commit(now, self.engine.deposit(now, deposit))
            if self.engine.rules.hedge_mode:
                self.commit(now, self.engine.set_position_mode(hedge=True))
        for symbol, feed in self.feeds.items():
            if symbol in self.book.prices:
                continue
            first = feed.first(now)
            history = feed.history(first, history_minutes)
            for candle in history:
                self.candles.take_candle(candle)
            self._candle_log.append(history)
            self.commit(now, self.engine.price(first))
        self.snapshot(now)
        self._timeline.sync()

    def close(self, pid: int) -> None:
        """Write the last state and let go of the directory."""
        now = self.clock()
        self._append(now, [{"kind": "session", "event": "stop", "pid": pid}])
        self.snapshot(now)
        self._timeline.close()
        self._candle_log.close()

    def run(self, operation: Callable[[int], list[Event]]) -> list[Event]:
        """Do something to the engine now and commit what came of it; raises Refused."""
        now = self.clock()
        events = operation(now)
        self.commit(now, events)
        return events

    def commit(self, now: int, events: list[Event]) -> None:
        """Write a step of the engine, with the request that it answers, then tell the listeners."""
        if not events:
            return
        cause: Record = {} if self._request is None else {"request": self._request}
        self._append(now, [to_record(event) | cause for event in events])
        for event in events:
            if isinstance(event, Price):
                self._candle_log.append(self.candles.take_price(event))
        for listener in self.listeners:
            listener(now, events)

    def advance(self, symbol: str) -> Price | None:
        """Go to the next price of a symbol; None when its price stands still."""
        before = self.book.prices[symbol]
        now = self.clock()
        following = self.feeds[symbol].following(before, now)
        if following is not None:
            self.commit(now, self.engine.price(following))
        return following

    def work(self) -> None:
        """Fill further parts of orders; write a snapshot when the log has grown enough since the last."""
        self.run(self.engine.work)
        if self._timeline.lines_since_snapshot >= SNAPSHOT_LINES:
            self.snapshot(self.clock())

    def note_request(self, method: str, path: str, params: Mapping[str, str]) -> int:
        """Log that a request arrived; returns its id. What is committed until the reply is noted answers it."""
        request = self._timeline.next_seq
        record: Record = {"kind": "request", "id": request, "method": method, "path": path, "params": dict(params)}
        self._request = self._append(self.clock(), [record])
        return request

    def relist(self, contract: Contract) -> None:
        """Change the filters of an instrument, for what is asked and printed from now on."""
        self.engine.contracts[contract.symbol] = contract
        self.feeds[contract.symbol] = self.feeds[contract.symbol].listed_as(contract)

    def note_control(self, command: str, asked: Mapping[str, object], refused: str | None = None) -> None:
        """Log that a test, playing venue or outsider, has asked for something; again, with the reason, if refused."""
        record: Record = {"kind": "control", "command": command, "asked": dict(asked)}
        if refused is not None:
            record["refused"] = refused
        self._append(self.clock(), [record])

    def note_strike(self, record: Record) -> None:
        """Log that an ordered fault strikes."""
        self._append(self.clock(), [{"kind": "struck", **record}])

    @contextmanager
    def answering_from(self, book: Book) -> Iterator[None]:
        """Let queries be answered from another book for as long as the context lasts; nothing may change it."""
        real = self.engine.book
        self.engine.book = book
        try:
            yield
        finally:
            self.engine.book = real

    def note_reply(self, request: int, status: int, code: int | None, **more: object) -> None:
        """Log the answer to a request."""
        self._request = None
        record: Record = {"kind": "reply", "request": request, "status": status, "code": code, **more}
        self._append(self.clock(), [record])

    def snapshot(self, now: int) -> None:
        """Write the whole state into the log."""
        self._candle_log.sync()
        candles = [candle.to_record() for candle in self.candles.current()]
        self._timeline.snapshot(now - self.skew_ms, [*(to_record(event) for event in self.book.events()), *candles])

    def _append(self, now: int, records: Iterable[Record]) -> int:
        """Write lines. Their `t` is true time: a skew is what clients are told, the log is not to run backwards."""
        return self._timeline.append(now - self.skew_ms, records)

    async def durable(self) -> None:
        """Return when all that is committed by now would survive a power loss; raises OSError."""
        if self._next_sync is None:
            self._next_sync = asyncio.get_running_loop().create_future()
        waited = self._next_sync
        if self._syncing is None or self._syncing.done():
            self._syncing = asyncio.create_task(self._sync_while_wanted())
        await asyncio.shield(waited)

    async def _sync_while_wanted(self) -> None:
        while self._next_sync is not None:
            wanted, self._next_sync = self._next_sync, None
            try:
                await asyncio.to_thread(self._timeline.sync)
            except OSError as fault:
                wanted.set_exception(fault)
            else:
                wanted.set_result(None)

    def _replay(self, record: Record) -> None:
        if record["kind"] == "snapshot":
            self._replay_states(record["states"])
            return
        event = from_record(record)
        if event is not None:
            self.book.apply(event)
            if isinstance(event, Price):
                # A kill may have come between the price and the candle that it closed.
                self._candle_log.append(self.candles.take_price(event))

    def _replay_states(self, states: Iterable[Record]) -> None:
        for state in states:
            if state["kind"] == "candle":
                self.candles.replace_current(Candle.from_record(state))
                continue
            event = from_record(state)
            if event is not None:
                self.book.apply(event)
