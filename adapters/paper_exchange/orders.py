"""What the exchange keeps: orders, conditionals, fills, positions, balance, prices.

Every class here is one whole state of one thing, never a difference. The engine changes its book by such states only
and the timeline stores them, so a replay of the timeline gives the same book by construction. Times are venue ms.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

ZERO: Final = Decimal(0)
ASSET: Final = "USDT"


class Side(StrEnum):
    """Direction of an order."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        """The side that undoes this one."""
        return Side.SELL if self is Side.BUY else Side.BUY


class PositionSide(StrEnum):
    """Which position of a symbol: BOTH in one-way mode, LONG or SHORT in hedge mode."""

    BOTH = "BOTH"
    LONG = "LONG"
    SHORT = "SHORT"

    def opened_by(self, side: "Side") -> bool:
        """False for an order that can only reduce this position: one against its side, in hedge mode."""
        return self is PositionSide.BOTH or (self is PositionSide.LONG) == (side is Side.BUY)


class OrderType(StrEnum):
    """Types of ordinary orders."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"


class ConditionalType(StrEnum):
    """Types of conditional orders."""

    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"


class WorkingType(StrEnum):
    """Which price triggers a conditional: mark, or last trade."""

    MARK_PRICE = "MARK_PRICE"
    CONTRACT_PRICE = "CONTRACT_PRICE"


class OrderStatus(StrEnum):
    """Life of an ordinary order."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"

    @property
    def is_open(self) -> bool:
        """True while more may be filled."""
        return self in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


class AlgoStatus(StrEnum):
    """Life of a conditional (VENUES E)."""

    NEW = "NEW"
    TRIGGERING = "TRIGGERING"
    TRIGGERED = "TRIGGERED"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class Origin(StrEnum):
    """Who caused an order."""

    API = "api"
    ALGO = "algo"
    LIQUIDATION = "liquidation"
    DELEVERAGE = "adl"
    HUMAN = "human"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An ordinary order after its latest change.

    `stop_loss` and `take_profit` are what it was to attach to the position, 0 for none; `price` is a limit order's.
    """

    symbol: str
    order_id: int
    client_order_id: str
    side: Side
    type: OrderType
    quantity: Decimal
    reduce_only: bool
    close_position: bool
    position_side: PositionSide
    status: OrderStatus
    executed_qty: Decimal
    avg_price: Decimal
    origin: Origin
    algo_id: int | None
    orig_type: str
    cum_quote: Decimal
    stop_price: Decimal
    working_type: WorkingType
    time: int
    update_time: int
    stop_loss: Decimal = ZERO
    take_profit: Decimal = ZERO
    price: Decimal = ZERO

    @property
    def remaining(self) -> Decimal:
        """What is not executed."""
        return self.quantity - self.executed_qty


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgoOrder:
    """A conditional order after its latest change; `quantity` is 0 for a close-position one.

    `attached`: it stands on the position itself, has no client id, and goes when the position does.
    """

    symbol: str
    algo_id: int
    client_algo_id: str
    side: Side
    type: ConditionalType
    quantity: Decimal
    trigger_price: Decimal
    working_type: WorkingType
    reduce_only: bool
    close_position: bool
    price_protect: bool
    position_side: PositionSide
    status: AlgoStatus
    actual_order_id: int | None
    actual_qty: Decimal
    actual_price: Decimal
    reject_reason: str
    origin: Origin
    create_time: int
    update_time: int
    trigger_time: int
    attached: bool = False

    @property
    def triggers_at_or_below(self) -> bool:
        """A sell stop and a buy take-profit fire when the price falls to the trigger; the others when it rises."""
        return (self.side is Side.SELL) == (self.type is ConditionalType.STOP_MARKET)

    def crossed_by(self, price: Decimal) -> bool:
        """True when `price` is at or past the trigger."""
        return price <= self.trigger_price if self.triggers_at_or_below else price >= self.trigger_price


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution; `realized_pnl` is without the fee, `closed` what of the quantity made a position smaller."""

    symbol: str
    trade_id: int
    order_id: int
    client_order_id: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    realized_pnl: Decimal
    position_side: PositionSide
    time: int
    closed: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A position: `quantity` is signed, 0 when flat (then `entry_price` is 0 too).

    `realized` is profit less fees since it was opened, `realized_ever` since the account was.
    """

    symbol: str
    position_side: PositionSide
    quantity: Decimal
    entry_price: Decimal
    update_time: int
    realized: Decimal = ZERO
    realized_ever: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """The wallet: deposits + realised P&L - fees, without unrealised P&L."""

    asset: str
    wallet: Decimal
    update_time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A price point. `step` numbers the points of a symbol's market, so that a restart goes on behind it."""

    symbol: str
    mark: Decimal
    last: Decimal
    index: Decimal
    step: int
    time: int

    def of(self, working: WorkingType) -> Decimal:
        """The price that triggers a conditional of this working type."""
        return self.mark if working is WorkingType.MARK_PRICE else self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Leverage:
    """The leverage set for a symbol."""

    symbol: str
    leverage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionMode:
    """Hedge or one-way mode of a symbol; symbol "" is the whole account and takes every symbol with it."""

    symbol: str
    hedge: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Insurance:
    """What the insurance fund paid after a liquidation left the wallet below zero."""

    symbol: str
    amount: Decimal
    time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenKey:
    """The key of the private stream; valid until `expires` (ms). Expiry 0 means closed."""

    key: str
    expires: int


Event = Order | AlgoOrder | Fill | Position | Balance | Price | Leverage | PositionMode | Insurance | ListenKey
