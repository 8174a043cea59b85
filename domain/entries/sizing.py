"""How much to buy: what was asked for, cut to the venue's step, or raised to its minimum when that is nearly the same.

Rules of this file: a size is never rounded up but to reach the venue's minimum, and that only within the set overshoot;
what cannot be had is refused with the figures, never changed silently (SYSTEM A6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from enum import StrEnum
from typing import NamedTuple

from domain.decimals import plain
from domain.entries.funds import Funds
from domain.entries.situation import Grant, Refusal, Wish
from domain.instrument import MONEY, Instrument, percent_of

PCT = Decimal("0.000001")  # finer than any tick is to its price


class Method(StrEnum):
    """How the size of a new position is found."""

    USD = "usd"
    PERCENT = "percent"
    ATR = "atr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """The settings of sizing. `usd` in quote currency, `percent` and `risk_pct` of the equity.

    The equity (wallet and unrealised P&L) is the balance meant: what is free shrinks with every position that opens, so
    that the members of one wave would be sized by their order. That the margin is there is a check of its own.
    """

    method: Method = Method.USD
    usd: Decimal = Decimal(250)
    percent: Decimal = Decimal(2)
    risk_pct: Decimal = Decimal(1)
    atr_multiple: Decimal = Decimal(2)
    overshoot_pct: Decimal = Decimal(10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an operator asks for, or a signal's wish for whatever the settings say (None)."""

    usd: Decimal | None = None
    quantity: Decimal | None = None
    stop_pct: Decimal | None = None
    stop_price: Decimal | None = None

    def by_atr(self, sizing: Sizing) -> bool:
        """Whether size and stop depend on how far the market moves."""
        return sizing.method is Method.ATR and self.usd is None and self.quantity is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stops:
    """How far a first stop lies from the entry price, in per cent of it, and how far it may."""

    usual_pct: Decimal
    farthest_pct: Decimal


def grant(
    wish: Wish,
    asked: Asked,
    sizing: Sizing,
    stops: Stops,
    price: Decimal,
    balance: Funds | Refusal,
    atr: Decimal | None = None,
) -> Grant | Refusal:
    """Size and first stop of an entry at `price`. `atr` is needed where `asked.by_atr`."""
    if asked.quantity is not None:
        sized = checked_quantity(wish.instrument, asked.quantity, price)
        wanted = _Wanted(asked.quantity * price, asked.stop_pct)
    else:
        found = _wanted(asked, sizing, stops, price, balance, atr)
        if isinstance(found, Refusal):
            return found
        wanted = found
        sized = size_usd(wanted.usd, price, wish.instrument, sizing.overshoot_pct)
    if isinstance(sized, Refusal):
        return Refusal(code=sized.code, figures={**sized.figures, **wanted.figures})
    stop_price = asked.stop_price
    if stop_price is None:
        pct = stops.usual_pct if wanted.stop_pct is None else wanted.stop_pct
        with localcontext(MONEY):
            stop_price = price - wish.side.sign * percent_of(price, pct)
    with localcontext(MONEY):
        usd = sized * price
    return Grant(quantity=sized, usd=usd, wanted_usd=wanted.usd, stop_price=stop_price, stop_pct=wanted.stop_pct)


class _Wanted(NamedTuple):
    """What a position is to be worth, and how far its stop lies if the size depends on that."""

    usd: Decimal
    stop_pct: Decimal | None
    figures: Mapping[str, object] = {}


def _wanted(
    asked: Asked, sizing: Sizing, stops: Stops, price: Decimal, balance: Funds | Refusal, atr: Decimal | None
) -> _Wanted | Refusal:
    if asked.usd is not None:
        return _Wanted(asked.usd, asked.stop_pct)
    if sizing.method is Method.USD:
        return _Wanted(sizing.usd, asked.stop_pct)
    if isinstance(balance, Refusal):
        return balance
    figures: dict[str, object] = {"equity_usd": plain(balance.equity)}
    if balance.equity <= 0:
        return Refusal(code="no_balance", figures=figures)
    if sizing.method is Method.PERCENT:
        return _Wanted(percent_of(balance.equity, sizing.percent), asked.stop_pct, figures)
    if atr is None:
        raise ValueError("atr=None: must be known for a size by ATR")
    with localcontext(MONEY):
        distance = atr * sizing.atr_multiple
        stop_pct = (distance / price * 100).quantize(PCT)
        usd = percent_of(balance.equity, sizing.risk_pct) / distance * price
    figures |= {"risk_pct": plain(sizing.risk_pct), "atr": plain(atr), "distance": plain(distance)}
    if stop_pct > stops.farthest_pct:
        figures |= {"stop_pct": plain(stop_pct), "farthest_pct": plain(stops.farthest_pct)}
        return Refusal(code="stop_too_far", figures=figures)
    return _Wanted(usd, stop_pct, figures)


def balance_of(funds: Funds | None, now: datetime, good_s: float) -> Funds | Refusal:
    """The account's money, if it is known and not too old (of the future: the clock was set back since)."""
    if funds is None:
        return Refusal(code="balance_unknown", figures={"limit_s": f"{good_s:g}"})
    age_s = abs((now - funds.read_at).total_seconds())
    if age_s > good_s:
        return Refusal(code="stale_balance", figures={"age_s": f"{age_s:.0f}", "limit_s": f"{good_s:g}"})
    return funds


def checked_quantity(instrument: Instrument, quantity: Decimal, price: Decimal) -> Decimal | Refusal:
    """An operator's own quantity: on the step, within the venue's limits at this price."""
    if not instrument.on_step(quantity):
        return Refusal(code="quantity_off_step", figures={"quantity": plain(quantity), "step": plain(instrument.step)})
    if not instrument.min_quantity <= quantity <= instrument.max_market_quantity:
        figures = {
            "quantity": plain(quantity),
            "min": plain(instrument.min_quantity),
            "max": plain(instrument.max_market_quantity),
        }
        return Refusal(code="quantity_out_of_range", figures=figures)
    notional = quantity * price
    if notional < instrument.min_notional:
        figures = {"notional": plain(notional), "min_notional": plain(instrument.min_notional)}
        return Refusal(code="below_min_notional", figures=figures)
    return quantity


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

