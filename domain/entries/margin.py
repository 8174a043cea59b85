"""What an entry binds as margin, and where it would be liquidated: estimates for before it is sent, never too rosy.

Rules of this file: what is not known is taken for the worse (no leverage, isolated margin, the highest maintenance rate
that the leverage allows); where the venues' formulas differ the nearer liquidation price counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext

from domain.instrument import MONEY, PositionSide

ONE = Decimal(1)
FEES = Decimal("0.0012")  # of the value: in and out at what a taker pays without discount, 0.06 % the highest


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """Positions worth up to `up_to` keep `rate` of their value as maintenance margin."""

    up_to: Decimal
    rate: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """How a symbol's positions are margined. None, or no brackets: not known."""

    leverage: int | None = None
    isolated: bool | None = None
    brackets: tuple[Bracket, ...] = ()


def initial(margin: Margin, usd: Decimal) -> Decimal:
    """What an entry worth `usd` takes from the free margin, fees included."""
    with localcontext(MONEY):
        return usd / (margin.leverage or 1) + usd * FEES


def maintenance_rate(margin: Margin, usd: Decimal) -> Decimal:
    """The share of its value that a position worth `usd` must keep.

    Both venues set half of the least initial margin of a bracket, and a bracket allows no leverage below ours.
    """
    for bracket in sorted(margin.brackets, key=lambda bracket: bracket.up_to):
        if usd <= bracket.up_to:
            return bracket.rate
    return ONE / (2 * (margin.leverage or 1))


def liquidation_price(
    margin: Margin, side: PositionSide, price: Decimal, quantity: Decimal, free: Decimal
) -> Decimal | None:
    """Where a position entered at `price` would be liquidated, or None: it would lose less than it is worth.

    With C the money behind it (isolated: its initial margin; cross: all that is `free`, the others' margin left to
    them), c = C / value and m the maintenance rate, a long is liquidated at price * (1 - c) / (1 - m) by Binance's
    'How to Calculate Liquidation Price of USDⓈ-M Futures Contracts' without its maintenance amount, and at
    price * (1 - c + m) by Bybit's 'Liquidation Price Calculation under Isolated Mode'; a short by the same with the
    signs turned. Fees are taken from C. Raises ValueError where isolated margin needs a leverage that is not known.
    """
    with localcontext(MONEY):
        value = price * quantity
        if margin.isolated is False:
            backing = free
        elif margin.leverage is not None:
            backing = value / margin.leverage
        else:
            raise ValueError("leverage=None: must be known where margin is isolated")
        share, rate = backing / value - FEES, maintenance_rate(margin, value)
        sign = side.sign
        one = price * (ONE - sign * share) / (ONE - sign * rate)
        other = price * (ONE - sign * (share - rate))
        found = max(one, other) if side is PositionSide.LONG else min(one, other)
    return found if found > 0 else None

