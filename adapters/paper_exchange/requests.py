"""What may be asked of the matching engine, and the rules it works by."""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto
from typing import Final

from adapters.paper_exchange.orders import ConditionalType, Origin, PositionSide, Side, WorkingType


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Settings of the venue.

    `partial_fills` is the share of market orders (percent) that is filled in parts; `taker_fee` is a fraction.
    `conditionals_per_account` bounds the resting conditionals over all symbols; attached ones are not among them, of
    their partial ones a position has at most `attached_parts`. `one_close_position`: one in each direction only.
    `hedge_mode` is the mode of a new account.
    """

    seed: int = 1
    spread_bps: Decimal = Decimal(2)
    taker_fee: Decimal = Decimal("0.0005")
    partial_fills: int = 0
    hedge_mode: bool = False
    conditionals_per_account: int = 200
    attached_parts: int = 20
    one_close_position: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A stop or take-profit to attach to a position. `quantity` None covers the whole of it, whatever its size."""

    trigger_price: Decimal
    working_type: WorkingType = WorkingType.CONTRACT_PRICE
    quantity: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRequest:
    """A market order as asked for, or with `limit_price` an immediate-or-cancel limit order; both take what they get.

    An empty client id lets the venue make one.
    `stop_loss` and `take_profit` are attached to the position in the step of the first fill.
    """

    symbol: str
    side: Side
    quantity: Decimal
    reduce_only: bool = False
    client_order_id: str = ""
    origin: Origin = Origin.API
    position_side: PositionSide = PositionSide.BOTH
    stop_loss: Attachment | None = None
    take_profit: Attachment | None = None
    limit_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionalRequest:
    """A conditional as asked for; `quantity` is None exactly when `close_position` is set."""

    symbol: str
    side: Side
    type: ConditionalType
    trigger_price: Decimal
    quantity: Decimal | None = None
    working_type: WorkingType = WorkingType.CONTRACT_PRICE
    reduce_only: bool = False
    close_position: bool = False
    price_protect: bool = False
    client_algo_id: str = ""
    position_side: PositionSide = PositionSide.BOTH
    origin: Origin = Origin.API


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """What of a resting conditional is to change; None leaves it as it is."""

    trigger_price: Decimal | None = None
    quantity: Decimal | None = None
    working_type: WorkingType | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingStop:
    """What is to stand on a position: each leg is an attachment, CLEAR, or None to leave it as it is."""

    symbol: str
    position_side: PositionSide
    stop_loss: "Attachment | Clear | None" = None
    take_profit: "Attachment | Clear | None" = None


class Clear(Enum):
    """Take the attached leg away."""

    CLEAR = auto()


CLEAR: Final = Clear.CLEAR


class Fate(Enum):
    """What becomes of a conditional at its trigger: it works, hangs in TRIGGERING, is rejected, or fills in part."""

    WORKS = auto()
    STUCK = auto()
    REJECTED = auto()
    PART = auto()
