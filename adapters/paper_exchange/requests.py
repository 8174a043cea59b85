"""What may be asked of the matching engine, and the rules it works by."""

from dataclasses import dataclass
from decimal import Decimal

from adapters.paper_exchange.orders import ConditionalType, Origin, Side, WorkingType


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Settings of the venue.

    `partial_fills` is the share of market orders (percent) that is filled in parts; `taker_fee` is a fraction.
    """

    seed: int = 1
    spread_bps: Decimal = Decimal(2)
    taker_fee: Decimal = Decimal("0.0005")
    partial_fills: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRequest:
    """A market order as asked for; an empty client id lets the venue make one."""

    symbol: str
    side: Side
    quantity: Decimal
    reduce_only: bool = False
    client_order_id: str = ""
    origin: Origin = Origin.API


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
