"""How much to buy: what was asked for, cut to the venue's step, or raised to its minimum when that is nearly the same.

Rules of this file: a size is never rounded up but to reach the venue's minimum, and that only within the set overshoot;
what cannot be had is refused with the figures, never changed silently (SYSTEM A6).
"""

from __future__ import annotations

from decimal import Decimal, localcontext

from domain.entries.checks import Refusal
from domain.instrument import MONEY, Instrument, percent_of


def size_usd(usd: Decimal, price: Decimal, instrument: Instrument, overshoot_pct: Decimal) -> Decimal | Refusal:
    """The quantity in base units that `usd` of quote currency buy at `price`.

    Refused as `below_minimum` when the venue's minimum costs more than `overshoot_pct` per cent above `usd`, as
    `above_maximum` when one market order cannot carry it. Raises ValueError for money or a price that is not positive,
    or a negative overshoot.
    """
    for name, value in (("usd", usd), ("price", price)):
        if not value.is_finite() or value <= 0:
            raise ValueError(f"{name}={value}: must be finite and positive")
    if not overshoot_pct.is_finite() or overshoot_pct < 0:
        raise ValueError(f"overshoot_pct={overshoot_pct}: must be finite and not negative")
    with localcontext(MONEY):
        quantity = instrument.floor_quantity(usd / price)
        enough = max(
            instrument.ceil_quantity(instrument.min_quantity), instrument.ceil_quantity(instrument.min_notional / price)
        )
        cost, allowed = enough * price, usd + percent_of(usd, overshoot_pct)
    figures: dict[str, object] = {"usd": usd, "price": price, "quantity": quantity, "step": instrument.step}
    if quantity < enough:
        if cost > allowed:
            figures |= {
                "min_quantity": instrument.min_quantity,
                "min_notional": instrument.min_notional,
                "needed_usd": cost,
                "allowed_usd": allowed,
            }
            return Refusal(code="below_minimum", figures=figures)
        quantity = enough
    if quantity > instrument.max_market_quantity:
        return Refusal(code="above_maximum", figures=figures | {"max_quantity": instrument.max_market_quantity})
    return quantity
