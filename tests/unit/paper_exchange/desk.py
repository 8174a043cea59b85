"""A trader's desk at the engine: short calls, a clock that ticks, every change remembered."""

from decimal import Decimal

from adapters.paper_exchange.book import Book
from adapters.paper_exchange.codec import to_record
from adapters.paper_exchange.contracts import listed_contracts
from adapters.paper_exchange.engine import MatchingEngine
from adapters.paper_exchange.orders import (
    AlgoOrder,
    ConditionalType,
    Event,
    Fill,
    Order,
    Price,
    Side,
    WorkingType,
)
from adapters.paper_exchange.requests import ConditionalRequest, MarketRequest, Rules

START = {"BTCUSDT": "60000", "ETHUSDT": "3000"}


class Desk:
    """An engine with two symbols and 10,000 USDT."""

    def __init__(self, *, partial_fills: int = 0, seed: int = 1, balance: str = "10000") -> None:
        self.engine = MatchingEngine(listed_contracts(), Rules(seed=seed, partial_fills=partial_fills))
        self.now = 1_000
        self.events: list[Event] = []
        self._steps = 0
        self.took(self.engine.deposit(self.now, Decimal(balance)))
        for symbol, mark in START.items():
            self.price(mark, symbol=symbol)

    @property
    def book(self) -> Book:
        return self.engine.book

    def took(self, events: list[Event]) -> list[Event]:
        self.events += events
        self.now += 1
        return events

    def price(self, mark: str, *, symbol: str = "BTCUSDT", last: str | None = None) -> list[Event]:
        self._steps += 1
        value = Decimal(mark)
        price = Price(
            symbol=symbol,
            mark=value,
            last=Decimal(last or mark),
            index=value,
            step=self._steps,
            time=self.now,
        )
        return self.took(self.engine.price(price))

    def market(
        self, side: str, quantity: str, *, symbol: str = "BTCUSDT", reduce: bool = False, client: str = ""
    ) -> list[Event]:
        asked = MarketRequest(
            symbol=symbol, side=Side(side), quantity=Decimal(quantity), reduce_only=reduce, client_order_id=client
        )
        return self.took(self.engine.place_market(self.now, asked))

    def stop(
        self,
        side: str,
        trigger: str,
        quantity: str | None = "0.010",
        *,
        symbol: str = "BTCUSDT",
        profit: bool = False,
        last: bool = False,
        reduce: bool = True,
        client: str = "",
    ) -> AlgoOrder:
        asked = ConditionalRequest(
            symbol=symbol,
            side=Side(side),
            type=ConditionalType.TAKE_PROFIT_MARKET if profit else ConditionalType.STOP_MARKET,
            trigger_price=Decimal(trigger),
            quantity=None if quantity is None else Decimal(quantity),
            working_type=WorkingType.CONTRACT_PRICE if last else WorkingType.MARK_PRICE,
            reduce_only=reduce and quantity is not None,
            close_position=quantity is None,
            client_algo_id=client,
        )
        (algo,) = self.took(self.engine.place_conditional(self.now, asked))
        assert isinstance(algo, AlgoOrder)
        return algo

    def quantity(self, symbol: str = "BTCUSDT") -> Decimal:
        return self.book.position(symbol).quantity

    def records(self) -> list[dict[str, object]]:
        """The whole book as records: what two equal books have in common."""
        return [to_record(event) for event in self.book.events()]


def fills(events: list[Event]) -> list[Fill]:
    return [event for event in events if isinstance(event, Fill)]


def orders(events: list[Event]) -> list[Order]:
    return [event for event in events if isinstance(event, Order)]


def algos(events: list[Event]) -> list[AlgoOrder]:
    return [event for event in events if isinstance(event, AlgoOrder)]
