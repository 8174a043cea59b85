"""What a venue says of one perpetual contract, in exact decimals, and rounding that can only err on the safe side."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext
from enum import StrEnum

# Money is computed in a context of our own: ccxt changes the calling thread's ambient one (VENUES T16).
MONEY = Context(prec=40)


class PositionSide(StrEnum):
    """Which way a position earns."""

    LONG = "long"
    SHORT = "short"

    @property
    def sign(self) -> int:
        """+1 for a long, -1 for a short."""
        return 1 if self is PositionSide.LONG else -1

    @property
    def opening(self) -> Side:
        """The order side that enlarges the position."""
        return Side.BUY if self is PositionSide.LONG else Side.SELL

    @property
    def closing(self) -> Side:
        """The order side that reduces the position."""
        return Side.SELL if self is PositionSide.LONG else Side.BUY

    def better(self, one: Decimal, other: Decimal) -> bool:
        """Whether price `one` is strictly more favourable to the position than `other`."""
        return one > other if self is PositionSide.LONG else one < other

    def best(self, one: Decimal, other: Decimal) -> Decimal:
        """The more favourable of two prices."""
        return max(one, other) if self is PositionSide.LONG else min(one, other)

    def worst(self, one: Decimal, other: Decimal) -> Decimal:
        """The less favourable of two prices."""
        return min(one, other) if self is PositionSide.LONG else max(one, other)


class Side(StrEnum):
    """Side of an order."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One USDT-margined perpetual. Quantities are in base units, prices in quote units."""

    symbol: str
    base: str
    quote: str
    tick: Decimal
    step: Decimal
    min_quantity: Decimal
    max_market_quantity: Decimal
    min_notional: Decimal
    trading: bool = True
    max_conditional_orders: int = 10

    def stop_price(self, side: PositionSide, price: Decimal) -> Decimal:
        """`price` on the tick, rounded towards the mark: a stop rounded away would risk more than was asked."""
        return self.round_up(price) if side is PositionSide.LONG else self.round_down(price)

    def stop_price_outward(self, side: PositionSide, price: Decimal) -> Decimal:
        """`price` on the tick, rounded away from the mark: for a limit that a stop must not come nearer than."""
        return self.round_down(price) if side is PositionSide.LONG else self.round_up(price)

    def round_down(self, price: Decimal) -> Decimal:
        """The highest tick not above `price`."""
        return _on_grid(price, self.tick, ROUND_FLOOR)

    def round_up(self, price: Decimal) -> Decimal:
        """The lowest tick not below `price`."""
        return _on_grid(price, self.tick, ROUND_CEILING)

    def floor_quantity(self, quantity: Decimal) -> Decimal:
        """The largest multiple of the step not above `quantity`."""
        return _on_grid(quantity, self.step, ROUND_FLOOR)

    def ceil_quantity(self, quantity: Decimal) -> Decimal:
        """The smallest multiple of the step not below `quantity`."""
        return _on_grid(quantity, self.step, ROUND_CEILING)

    def on_tick(self, price: Decimal) -> bool:
        """Whether `price` is a multiple of the tick."""
        return _is_on_grid(price, self.tick)

    def on_step(self, quantity: Decimal) -> bool:
        """Whether `quantity` is a multiple of the step."""
        return _is_on_grid(quantity, self.step)


def _on_grid(value: Decimal, grid: Decimal, rounding: str) -> Decimal:
    with localcontext(MONEY):
        return (value / grid).to_integral_value(rounding=rounding) * grid


def _is_on_grid(value: Decimal, grid: Decimal) -> bool:
    with localcontext(MONEY):
        return value % grid == 0


def distance_pct(price: Decimal, mark: Decimal) -> Decimal:
    """How many per cent of the mark a price is away from it."""
    with localcontext(MONEY):
        return abs(price - mark) / mark * 100


def percent_of(value: Decimal, percent: Decimal) -> Decimal:
    """`percent` per cent of `value`, exactly enough for money (40 digits)."""
    with localcontext(MONEY):
        return value * percent / 100
