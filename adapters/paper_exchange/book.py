"""The account and the order book of the paper exchange: what is, not how it changes.

Rule: `apply` is the only way in. It takes whole states (`orders.Event`), so that the engine at work and the replay of a
timeline make the same book. Histories are bounded, as a venue's are.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from decimal import Decimal
from typing import Final, TypeVar

from adapters.paper_exchange.orders import (
    ZERO,
    AlgoOrder,
    AlgoStatus,
    Balance,
    Event,
    Fill,
    Insurance,
    Leverage,
    ListenKey,
    Order,
    Position,
    PositionSide,
    Price,
)

HISTORY: Final = 5_000
DEFAULT_LEVERAGE: Final = 20
_Key = TypeVar("_Key")
_Row = TypeVar("_Row")


class Book:
    """State of one account on one venue."""

    def __init__(self) -> None:
        self.orders: OrderedDict[int, Order] = OrderedDict()
        self.algos: OrderedDict[int, AlgoOrder] = OrderedDict()
        self.open_orders: dict[int, Order] = {}
        self.open_algos: dict[int, AlgoOrder] = {}
        self.fills: deque[Fill] = deque(maxlen=HISTORY)
        self.insurances: deque[Insurance] = deque(maxlen=HISTORY)
        self.positions: dict[tuple[str, PositionSide], Position] = {}
        self.balance: Balance | None = None
        self.prices: dict[str, Price] = {}
        self.leverages: dict[str, Leverage] = {}
        self.listen_keys: dict[str, ListenKey] = {}
        self.last_order_id = 0
        self.last_algo_id = 0
        self.last_trade_id = 0

    def apply(self, event: Event) -> None:
        """Take a state in."""
        match event:
            case Price():
                self.prices[event.symbol] = event
            case Order():
                self._remember(self.orders, event.order_id, event, self.open_orders)
                self.last_order_id = max(self.last_order_id, event.order_id)
                _keep(self.open_orders, event.order_id, event, event.status.is_open)
            case AlgoOrder():
                self._remember(self.algos, event.algo_id, event, self.open_algos)
                self.last_algo_id = max(self.last_algo_id, event.algo_id)
                live = event.status in (AlgoStatus.NEW, AlgoStatus.TRIGGERING)
                _keep(self.open_algos, event.algo_id, event, live)
            case Fill():
                self.fills.append(event)
                self.last_trade_id = max(self.last_trade_id, event.trade_id)
            case Position():
                self.positions[event.symbol, event.position_side] = event
            case Balance():
                self.balance = event
            case Leverage():
                self.leverages[event.symbol] = event
            case Insurance():
                self.insurances.append(event)
            case ListenKey():
                _keep(self.listen_keys, event.key, event, event.expires > 0)

    def events(self) -> Iterator[Event]:
        """States that make this book again when applied to an empty one, in order: the content of a snapshot."""
        yield from self.leverages.values()
        yield from self.prices.values()
        yield from self.orders.values()
        yield from self.algos.values()
        yield from self.fills
        yield from self.insurances
        yield from self.positions.values()
        if self.balance is not None:
            yield self.balance
        yield from self.listen_keys.values()

    @property
    def wallet(self) -> Decimal:
        """The wallet balance in USDT, 0 before the first deposit."""
        return ZERO if self.balance is None else self.balance.wallet

    def position(self, symbol: str, side: PositionSide = PositionSide.BOTH) -> Position:
        """The position, a flat one if there never was any."""
        known = self.positions.get((symbol, side))
        if known is not None:
            return known
        return Position(symbol=symbol, position_side=side, quantity=ZERO, entry_price=ZERO, update_time=0)

    def leverage(self, symbol: str) -> int:
        """The leverage of the symbol."""
        known = self.leverages.get(symbol)
        return DEFAULT_LEVERAGE if known is None else known.leverage

    def open_positions(self) -> list[Position]:
        """All positions that are not flat."""
        return [position for position in self.positions.values() if position.quantity]

    def unrealized(self, position: Position) -> Decimal:
        """Profit of the position at the mark price, in USDT."""
        if not position.quantity:
            return ZERO
        return position.quantity * (self.prices[position.symbol].mark - position.entry_price)

    def notional(self, position: Position) -> Decimal:
        """Signed value of the position at the mark price, in USDT."""
        return position.quantity * self.prices[position.symbol].mark if position.quantity else ZERO

    def initial_margin(self, position: Position) -> Decimal:
        """Margin that the position binds, in USDT."""
        return abs(self.notional(position)) / self.leverage(position.symbol)

    def margin_balance(self) -> Decimal:
        """Wallet plus unrealised profit, in USDT."""
        return self.wallet + sum((self.unrealized(position) for position in self.open_positions()), ZERO)

    def available(self) -> Decimal:
        """What is free for new positions, in USDT; may be negative."""
        return self.margin_balance() - sum((self.initial_margin(p) for p in self.open_positions()), ZERO)

    def order_by_client_id(self, symbol: str, client_order_id: str) -> Order | None:
        """The latest ordinary order with this client id."""
        return next(
            (o for o in reversed(self.orders.values()) if o.client_order_id == client_order_id and o.symbol == symbol),
            None,
        )

    def algo_by_client_id(self, client_algo_id: str) -> AlgoOrder | None:
        """The latest conditional with this client id."""
        return next((a for a in reversed(self.algos.values()) if a.client_algo_id == client_algo_id), None)

    def _remember(self, history: OrderedDict[_Key, _Row], key: _Key, row: _Row, still_open: dict[_Key, _Row]) -> None:
        history[key] = row
        if len(history) > HISTORY:
            # An open one is never forgotten, however old.
            oldest_done = next((known for known in history if known not in still_open and known != key), None)
            if oldest_done is not None:
                del history[oldest_done]


def _keep(table: dict[_Key, _Row], key: _Key, row: _Row, keep: bool) -> None:
    if keep:
        table[key] = row
    else:
        table.pop(key, None)
