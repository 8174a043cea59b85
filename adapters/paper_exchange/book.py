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
    ConditionalType,
    Event,
    Fill,
    Insurance,
    Leverage,
    ListenKey,
    Order,
    Position,
    PositionMode,
    PositionSide,
    Price,
    Side,
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
        self.modes: dict[str, PositionMode] = {}
        self.listen_keys: dict[str, ListenKey] = {}
        self._orders_by_client_id: dict[str, int] = {}
        self._algos_by_client_id: dict[str, int] = {}
        self._attached: dict[tuple[str, PositionSide, ConditionalType], int] = {}
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
                _index(self._orders_by_client_id, event.client_order_id, event.order_id)
                self.last_order_id = max(self.last_order_id, event.order_id)
                _keep(self.open_orders, event.order_id, event, event.status.is_open)
            case AlgoOrder():
                self._remember(self.algos, event.algo_id, event, self.open_algos)
                _index(self._algos_by_client_id, event.client_algo_id, event.algo_id)
                self.last_algo_id = max(self.last_algo_id, event.algo_id)
                live = event.status in (AlgoStatus.NEW, AlgoStatus.TRIGGERING)
                _keep(self.open_algos, event.algo_id, event, live)
                if event.attached and event.close_position:
                    self._attached[event.symbol, event.position_side, event.type] = event.algo_id
            case Fill():
                self.fills.append(event)
                self.last_trade_id = max(self.last_trade_id, event.trade_id)
            case Position():
                self.positions[event.symbol, event.position_side] = event
            case Balance():
                self.balance = event
            case Leverage():
                self.leverages[event.symbol] = event
            case PositionMode():
                if not event.symbol:
                    self.modes.clear()
                self.modes[event.symbol] = event
            case Insurance():
                self.insurances.append(event)
            case ListenKey():
                _keep(self.listen_keys, event.key, event, event.expires > 0)

    def events(self) -> Iterator[Event]:
        """States that make this book again when applied to an empty one, in order: the content of a snapshot."""
        yield from sorted(self.modes.values(), key=lambda mode: mode.symbol)
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

    def hedged(self, symbol: str = "") -> bool:
        """True if the symbol has a long and a short position; without a symbol: the account's rule."""
        mode = self.modes.get(symbol) or self.modes.get("")
        return mode is not None and mode.hedge

    def sides(self, symbol: str) -> tuple[PositionSide, ...]:
        """The positions that the symbol may have in its mode."""
        return (PositionSide.LONG, PositionSide.SHORT) if self.hedged(symbol) else (PositionSide.BOTH,)

    def reducible(self, symbol: str, side: Side, position_side: PositionSide = PositionSide.BOTH) -> Decimal:
        """How much an order of this side can reduce: the size of the opposite position, else 0."""
        quantity = self.position(symbol, position_side).quantity
        return abs(quantity) if quantity * side.sign < 0 else ZERO

    def attached(self, symbol: str, position_side: PositionSide, type_: ConditionalType) -> AlgoOrder | None:
        """The resting stop or take-profit that stands on the whole position, or None."""
        algo = self.open_algos.get(self._attached.get((symbol, position_side, type_), 0))
        return algo if algo is not None and algo.status is AlgoStatus.NEW else None

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
        """The latest ordinary order of the symbol with this client id."""
        latest = self.order_by_any_client_id(client_order_id)
        if latest is None or latest.symbol == symbol:
            return latest
        return next(
            (o for o in reversed(self.orders.values()) if o.client_order_id == client_order_id and o.symbol == symbol),
            None,
        )

    def order_by_any_client_id(self, client_order_id: str) -> Order | None:
        """The latest ordinary order of any symbol with this client id."""
        return self.orders.get(self._orders_by_client_id.get(client_order_id, 0))

    def algo_by_client_id(self, client_algo_id: str) -> AlgoOrder | None:
        """The latest conditional with this client id."""
        return self.algos.get(self._algos_by_client_id.get(client_algo_id, 0)) if client_algo_id else None

    def _remember(self, history: OrderedDict[_Key, _Row], key: _Key, row: _Row, still_open: dict[_Key, _Row]) -> None:
        history[key] = row
        if len(history) > HISTORY:
            # An open one is never forgotten, however old.
            oldest_done = next((known for known in history if known not in still_open and known != key), None)
            if oldest_done is not None:
                self._forget(history.pop(oldest_done))

    def _forget(self, row: object) -> None:
        """Take the client id of a forgotten order out of the index, unless a later one has it."""
        if isinstance(row, Order) and self._orders_by_client_id.get(row.client_order_id) == row.order_id:
            del self._orders_by_client_id[row.client_order_id]
        elif isinstance(row, AlgoOrder) and self._algos_by_client_id.get(row.client_algo_id) == row.algo_id:
            del self._algos_by_client_id[row.client_algo_id]


def _keep(table: dict[_Key, _Row], key: _Key, row: _Row, keep: bool) -> None:
    if keep:
        table[key] = row
    else:
        table.pop(key, None)


def _index(index: dict[str, int], client_id: str, number: int) -> None:
    """Remember the newest order with a client id, also when an older one changes once more."""
    index[client_id] = max(number, index.get(client_id, 0))
