"""A trading client in memory that does what a test says: answer, refuse, hang, break; and remembers every call."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from adapters.exchange import binance
from adapters.exchange.interface import Allowance, Balance, Candle, Holding, MarkPrice
from domain.accounts import AccountFacts
from domain.entries.situation import Quote
from domain.identity import ClientOrderId, Epoch, OrderKind, PositionId, mint_client_id
from domain.instrument import Instrument, PositionSide
from domain.orders import (
    Accepted,
    AccountSnapshot,
    Answer,
    CancelOutcome,
    CancelResult,
    Fence,
    Fill,
    NotFound,
    OrderIntent,
    OrderRef,
    Outcome,
    PositionReport,
    Source,
)
from tests.persistence.samples import BTC

MARK = Decimal(50_000)


class ScriptedClient:
    """Implements TradingClient. `script[call]` is awaited before an answer and may replace it by what it returns."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.sides: list[PositionSide | None] = []
        self.script: dict[str, Callable[[Any], Any]] = {}
        self.closed = 0
        self.limits = binance.CAPABILITIES.limits
        self.allowance = Allowance()
        self.ahead = timedelta(0)
        self.facts = AccountFacts(hedge_mode=False)
        self.markets: Mapping[str, Instrument] = {BTC.symbol: BTC}
        self._bell = threading.Condition()

    def called(self, name: str) -> list[Any]:
        """What a method was called with, so far."""
        with self._bell:
            return [about for call, about in self.calls if call == name]

    def wait(self, name: str, number: int = 1, seconds: float = 30) -> list[Any]:
        """That many calls of a method; fails when they do not come."""
        deadline = time.monotonic() + seconds
        with self._bell:
            while len(found := [about for call, about in self.calls if call == name]) < number:
                left = deadline - time.monotonic()
                assert left > 0, f"{len(found)} of {number} {name} came: {self.calls}"
                self._bell.wait(left)
            return found

    async def _do(self, name: str, about: Any, answer: Any) -> Any:
        with self._bell:
            self.calls.append((name, about))
            self._bell.notify_all()
        script = self.script.get(name)
        if script is None:
            return answer
        done = script(about)
        if asyncio.iscoroutine(done) or isinstance(done, asyncio.Future):
            done = await done
        return answer if done is None else done

    def venue_now(self) -> datetime:
        return datetime.now(UTC) - self.ahead

    async def connect(self) -> Mapping[str, Instrument]:
        found: Mapping[str, Instrument] = await self._do("connect", None, self.markets)
        return found

    async def instruments(self) -> Mapping[str, Instrument]:
        found: Mapping[str, Instrument] = await self._do("instruments", None, self.markets)
        return found

    async def synchronise(self) -> None:
        await self._do("synchronise", None, None)

    async def account_facts(self) -> AccountFacts:
        facts: AccountFacts = await self._do("facts", None, self.facts)
        return facts

    async def place(self, intent: OrderIntent) -> Outcome:
        now = datetime.now(UTC)
        accepted = Accepted(
            client_id=intent.client_id, exchange_id="1", report=None, sent_at=now, answered_at=now
        )
        outcome: Outcome = await self._do("place", intent, accepted)
        return outcome

    async def cancel(self, ref: OrderRef) -> CancelOutcome:
        done = CancelOutcome(ref=ref, result=CancelResult.DONE, code="", text="", answered_at=datetime.now(UTC))
        outcome: CancelOutcome = await self._do("cancel", ref, done)
        return outcome

    async def find(self, ref: OrderRef) -> Answer:
        answer: Answer = await self._do("find", ref, NotFound(ref=ref, asked_at=datetime.now(UTC)))
        return answer

    async def snapshot(self, held: Collection[Holding] = ()) -> AccountSnapshot:
        now = datetime.now(UTC)
        whole = AccountSnapshot(account="main", asked_at=now, answered_at=now, positions=(), orders=())
        taken: AccountSnapshot = await self._do("snapshot", tuple(held), whole)
        return taken

    async def symbol_snapshot(self, symbol: str, *, rows: bool = True) -> AccountSnapshot:
        now = datetime.now(UTC)
        of_one = AccountSnapshot(
            account="main", asked_at=now, answered_at=now, positions=(flat(symbol),) if rows else (), orders=()
        )
        taken: AccountSnapshot = await self._do("symbol_snapshot", symbol, of_one)
        return taken

    async def position(self, symbol: str, side: PositionSide | None) -> PositionReport:
        self.sides.append(side)
        report: PositionReport = await self._do("position", symbol, flat(symbol))
        return report

    async def fills(self, symbol: str, since: datetime) -> tuple[Fill, ...]:
        found: tuple[Fill, ...] = await self._do("fills", symbol, ())
        return found

    async def balance(self) -> Balance:
        await self._do("balance", None, None)
        return Balance(currency="USDT", wallet=Decimal(1), total=Decimal(1), free=Decimal(1))

    async def mark_price(self, symbol: str) -> MarkPrice:
        known = MarkPrice(symbol=symbol, price=MARK, at=datetime.now(UTC))
        price: MarkPrice = await self._do("mark", symbol, known)
        return price

    async def quote(self, symbol: str) -> Quote:
        found: Quote = await self._do("quote", symbol, Quote(bid=MARK - 1, ask=MARK + 1))
        return found

    async def mark_candles(self, symbol: str, since: datetime) -> tuple[Candle, ...]:
        found: tuple[Candle, ...] = await self._do("candles", symbol, ())
        return found

    async def closed_candles(
        self, symbol: str, span: timedelta, count: int, closed_at: datetime
    ) -> tuple[Candle, ...]:
        found: tuple[Candle, ...] = await self._do("closed_candles", (symbol, span, count, closed_at), ())
        return found

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        await self._do("leverage", leverage, None)

    async def close(self) -> None:
        self.closed += 1
        await self._do("close", None, None)


def flat(symbol: str, quantity: Decimal = Decimal(0)) -> PositionReport:
    """The venue's word on a position's size."""
    return PositionReport(
        symbol=symbol,
        position_side=None,
        quantity=quantity,
        entry_price=None,
        mark_price=None,
        liquidation_price=None,
        at=datetime.now(UTC),
        source=Source.QUERY,
    )


@dataclass(slots=True)
class Owner:
    """Makes the requests of one position."""

    number: int = 7
    epoch: Epoch = field(default_factory=lambda: Epoch(1, 1))
    sequence: int = 0

    @property
    def id(self) -> PositionId:
        """The position."""
        return PositionId(self.number)

    @property
    def fence(self) -> Fence:
        """Under which the requests go."""
        return Fence(position_id=self.id, epoch=self.epoch)

    def intent(self, kind: OrderKind = OrderKind.STOP, **changes: Any) -> OrderIntent:
        """The next order of this position: 0.003 BTC long at 50000, its stop 2 % below."""
        self.sequence += 1
        long, entry = PositionSide.LONG, kind is OrderKind.ENTRY
        fields: dict[str, Any] = {
            "client_id": mint_client_id("ab12", self.id, self.epoch, self.sequence, kind),
            "position_id": self.id,
            "account": "main",
            "symbol": BTC.symbol,
            "kind": kind,
            "side": long.opening if entry else long.closing,
            "position_side": long,
            "quantity": Decimal("0.003"),
            "reduce_only": not entry,
            "trigger_price": Decimal(49_000) if kind.conditional else None,
            "reference_price": MARK,
        }
        return OrderIntent(**{**fields, **changes})


def ref_of(client_id: ClientOrderId, symbol: str = BTC.symbol) -> OrderRef:
    """How to find an order of ours."""
    return OrderRef(symbol=symbol, client_id=client_id, exchange_id=None, conditional=True)
