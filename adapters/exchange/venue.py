"""What a venue module must know, so that one client serves all venues, and the last check before the wire.

A venue module builds the parameters of ccxt's implicit methods (one method = one request) and parses the raw rows that
come back. ccxt signs, sends and raises. Its unified calls are not used for money: they turn a stop whose trigger they
cannot read into a market order (VENUES T1), round what we made exact (F), and give floats back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from adapters.exchange.access import AccountAccess
from adapters.exchange.interface import Balance, Candle, MarkPrice
from domain.identity import MAX_CLIENT_ID, OrderKind
from domain.instrument import Instrument, PositionSide
from domain.orders import Fill, OrderIntent, OrderRef, OrderReport, PositionReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a venue can do that another cannot. `conditional_orders`: most that an account may have; None: no limit."""

    attached_stop: bool
    amends_stops: bool
    conditional_orders: int | None


class BadReply(Exception):
    """A reply of success that does not say what it must."""


class Venue(Protocol):
    """The requests of one venue. `api` is its ccxt instance. All raise what ccxt raises, or BadReply."""

    capabilities: Capabilities

    def open(self, access: AccountAccess) -> Any:
        """A ccxt instance for REST, not yet connected."""
        ...

    async def server_time_ms(self, api: Any) -> int:
        """The venue's clock."""
        ...

    async def instruments(self, api: Any) -> Mapping[str, Instrument]:
        """The perpetuals, by our symbol."""
        ...

    async def check_account(self, api: Any) -> None:
        """Raise VenueFailure if the account is in a mode that we do not handle."""
        ...

    async def place(self, api: Any, intent: OrderIntent) -> tuple[str, OrderReport | None]:
        """Send one order; its id at the venue and what the reply says of it."""
        ...

    async def cancel(self, api: Any, ref: OrderRef) -> None:
        """Cancel one order."""
        ...

    async def order(self, api: Any, ref: OrderRef) -> OrderReport:
        """One order."""
        ...

    def open_orders(self) -> Sequence[Callable[[Any], Awaitable[tuple[OrderReport, ...]]]]:
        """The requests that together list every open order of the account."""
        ...

    async def positions(self, api: Any, at: datetime) -> tuple[PositionReport, ...]:
        """Every position, flat ones as explicit rows. `at`: the venue's time of the reading."""
        ...

    async def position(self, api: Any, symbol: str, at: datetime) -> tuple[PositionReport, ...]:
        """The rows of one symbol, flat ones too."""
        ...

    async def fills(self, api: Any, symbol: str, since: datetime, until: datetime) -> tuple[Fill, ...]:
        """All executions in a span, oldest first."""
        ...

    async def balance(self, api: Any) -> Balance:
        """The margin balance."""
        ...

    async def mark_price(self, api: Any, symbol: str) -> MarkPrice:
        """The mark price now."""
        ...

    async def mark_candles(self, api: Any, symbol: str, since: datetime, until: datetime) -> tuple[Candle, ...]:
        """One-minute candles of the mark price."""
        ...

    async def set_leverage(self, api: Any, symbol: str, leverage: int) -> None:
        """Set leverage."""
        ...


def exact(value: Decimal) -> str:
    """`value` as a plain decimal string, without exponent and without trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def insanity(intent: OrderIntent, instrument: Instrument | None) -> str | None:
    """What is wrong with an order in itself, or None (LAWS S2, S13). Where the mark is, the gateway checks."""
    if instrument is None:
        return f"symbol={intent.symbol}: no such perpetual at this venue"
    return _bad_quantity(intent, instrument) or _bad_trigger(intent, instrument) or _bad_shape(intent)


def _bad_quantity(intent: OrderIntent, instrument: Instrument) -> str | None:
    quantity = intent.quantity
    if not quantity.is_finite() or quantity <= 0:
        return f"quantity={quantity}: must be finite and positive"
    if not instrument.on_step(quantity):
        return f"quantity={quantity}: not a multiple of the step {instrument.step}"
    if quantity > instrument.max_market_quantity:
        return f"quantity={quantity}: above the venue's maximum {instrument.max_market_quantity} of a market order"
    return None


def _bad_trigger(intent: OrderIntent, instrument: Instrument) -> str | None:
    trigger = intent.trigger_price
    if intent.kind.conditional is (trigger is None):
        must = "must" if trigger is None else "must not"
        return f"trigger_price={trigger}: an order of kind {intent.kind.name} {must} have one"
    if trigger is None:
        return None
    if not trigger.is_finite() or trigger <= 0:
        return f"trigger_price={trigger}: must be finite and positive"
    if not instrument.on_tick(trigger):
        return f"trigger_price={trigger}: not a multiple of the tick {instrument.tick}"
    return None


def _bad_shape(intent: OrderIntent) -> str | None:
    opens = intent.kind is OrderKind.ENTRY
    if intent.reduce_only is opens:
        return f"reduce_only={intent.reduce_only}: must be {not opens} for an order of kind {intent.kind.name}"
    wanted = intent.position_side.opening if opens else intent.position_side.closing
    if intent.side is not wanted:
        of = f"{intent.kind.name} of a {intent.position_side} position"
        return f"side={intent.side}: an order of kind {of} must {wanted}"
    if not 0 < len(intent.client_id) <= MAX_CLIENT_ID:
        return f"client_id={intent.client_id!r}: must have 1 to {MAX_CLIENT_ID} characters"
    return None


def row_of_side(rows: Sequence[PositionReport], symbol: str, side: PositionSide | None) -> PositionReport:
    """The one row of a position side (None: one-way). Raises BadReply if it is missing or doubled."""
    fitting = [row for row in rows if row.symbol == symbol and row.position_side == side]
    if len(fitting) != 1:
        raise BadReply(f"position of {symbol} {side or 'one-way'}: {len(fitting)} rows in the reply, there must be 1")
    return fitting[0]
