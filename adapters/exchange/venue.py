"""What a venue module must know, so that one client serves all venues, and the last check before the wire.

A venue module builds the parameters of ccxt's implicit methods (one method = one request) and parses the raw rows that
come back. ccxt signs, sends and raises. Its unified calls are not used for money: they turn a stop whose trigger they
cannot read into a market order (VENUES T1), round what we made exact (F), and give floats back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from adapters.exchange.access import AccountAccess
from adapters.exchange.error_codes import Codes
from adapters.exchange.interface import Balance, Candle, MarkPrice, RateLimit, Usage
from domain.accounts import AccountFacts
from domain.entries.situation import Quote
from domain.identity import MAX_CLIENT_ID, OrderKind
from domain.instrument import Instrument, PositionSide
from domain.orders import Fill, OrderIntent, OrderRef, OrderReport, PositionReport, TriggerBy
from domain.position.plan import MoveStyle, VenueRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a venue can do that another cannot: what the core reads instead of a venue's name.

    `attached_stop`: an entry takes its stop along, and a stop can stand on the position itself. `close_position_stop`:
    a resting stop can close whatever the position holds. `amends_stops`: one can be changed in place. `move`: how a
    stop is moved best. `conditional_orders`: most that an account may have; None: no limit but the symbol's.
    `reading`: requests that one reading of the account takes, further pages and explicit rows apart. `hedge_mode`: long
    and short of a symbol can be two positions. `triggers`: the prices that a stop can watch. `limits`: of our requests.
    """

    attached_stop: bool
    close_position_stop: bool
    amends_stops: bool
    move: MoveStyle
    conditional_orders: int | None
    reading: int
    hedge_mode: bool
    triggers: frozenset[TriggerBy]
    limits: tuple[RateLimit, ...]


def rules(capabilities: Capabilities) -> VenueRules:
    """What a position at a venue of these capabilities decides by."""
    return VenueRules(
        attached_stop=capabilities.attached_stop,
        close_position_stop=capabilities.close_position_stop,
        move=capabilities.move,
    )


MOST_CANDLES = 1000
"""The longest page of candles that every venue gives."""
CANDLE_SPANS = frozenset(timedelta(minutes=minutes) for minutes in (1, 3, 5, 15, 30, 60, 120, 240))
"""The candles that every venue has; they begin at multiples of their span."""


class BadReply(Exception):
    """A reply of success that does not say what it must."""


class NoSuchOrder(Exception):
    """The venue said by a successful reply that it knows no such order."""


class Venue(Protocol):
    """The requests of one venue. `api` is its ccxt instance. All raise what ccxt raises, or BadReply."""

    capabilities: Capabilities
    codes: Codes
    """What its numeric codes mean."""
    domains: tuple[str, ...]
    """The domains of the venue's own addresses: what is there is real money, or the venue's demo."""
    ban_s: int
    """How long a ban lasts of which the venue does not say the end."""

    def open(self, access: AccountAccess) -> Any:
        """A ccxt instance for REST, not yet connected."""
        ...

    async def server_time_ms(self, api: Any) -> int:
        """The venue's clock."""
        ...

    async def instruments(self, api: Any) -> Mapping[str, Instrument]:
        """The perpetuals, by our symbol."""
        ...

    def account_questions(self, access: AccountAccess) -> Mapping[str, Callable[[Any], Awaitable[AccountFacts]]]:
        """The questions, by name, whose answers together are what is known of the account. They only read."""
        ...

    def usage(self, headers: Mapping[str, str], at_ms: int, path: str) -> tuple[Usage, ...]:
        """What the headers of an answer from `path` say of our limits; `at_ms` is the venue's time."""
        ...

    async def place(self, api: Any, intent: OrderIntent) -> tuple[str, OrderReport | None]:
        """Send one order; its id at the venue and what the reply says of it."""
        ...

    def standing(self, intent: OrderIntent) -> str | None:
        """The id of what `intent` wants if the venue answers that it stands already; None: that cannot be."""
        ...

    async def cancel(self, api: Any, ref: OrderRef) -> None:
        """Cancel one order."""
        ...

    async def order(self, api: Any, ref: OrderRef) -> OrderReport:
        """One order."""
        ...

    def open_orders(self, symbol: str | None = None) -> Sequence[Callable[[Any], Awaitable[tuple[OrderReport, ...]]]]:
        """The requests that together list every open order of the account, or of one symbol of it."""
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

    async def quote(self, api: Any, symbol: str) -> Quote:
        """Bid and ask now."""
        ...

    async def mark_candles(self, api: Any, symbol: str, since: datetime, until: datetime) -> tuple[Candle, ...]:
        """One-minute candles of the mark price."""
        ...

    async def candles(
        self, api: Any, symbol: str, span: timedelta, since: datetime, count: int
    ) -> tuple[Candle, ...]:
        """`count` candles of the traded price from `since` on, oldest first; the last may be under way."""
        ...

    async def set_leverage(self, api: Any, symbol: str, leverage: int) -> None:
        """Set leverage."""
        ...


def exact(value: Decimal) -> str:
    """`value` as a plain decimal string, without exponent and without trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def insanity(intent: OrderIntent, instrument: Instrument | None, capabilities: Capabilities) -> str | None:
    """What is wrong with an order in itself, or None (LAWS S2, S13). Where the mark is, the gateway checks."""
    if instrument is None:
        return f"symbol={intent.symbol}: no such perpetual at this venue"
    return (
        _bad_quantity(intent, instrument)
        or _bad_triggers(intent, instrument)
        or _bad_shape(intent)
        or _impossible(intent, capabilities)
    )


def _bad_quantity(intent: OrderIntent, instrument: Instrument) -> str | None:
    quantity = intent.quantity
    if not quantity.is_finite() or quantity <= 0:
        return f"quantity={quantity}: must be finite and positive"
    if not instrument.on_step(quantity):
        return f"quantity={quantity}: not a multiple of the step {instrument.step}"
    whole = intent.attached or intent.close_position
    if quantity > instrument.max_market_quantity and not whole:
        return f"quantity={quantity}: above the venue's maximum {instrument.max_market_quantity} of a market order"
    return None


def _bad_triggers(intent: OrderIntent, instrument: Instrument) -> str | None:
    trigger = intent.trigger_price
    if intent.kind.conditional is (trigger is None):
        must = "must" if trigger is None else "must not"
        return f"trigger_price={trigger}: an order of kind {intent.kind.name} {must} have one"
    limit = intent.limit_price
    if limit is not None and intent.kind is not OrderKind.ENTRY:
        return f"limit_price={limit}: only an entry takes one, not an order of kind {intent.kind.name}"
    stop = intent.attached_stop
    if stop is not None and intent.kind is not OrderKind.ENTRY:
        return f"attached_stop={stop}: only an entry takes a stop along, not an order of kind {intent.kind.name}"
    named = (("trigger_price", trigger), ("limit_price", limit), ("attached_stop", stop))
    return next((wrong for name, price in named if (wrong := _bad_price(name, price, instrument)) is not None), None)


def _bad_price(name: str, price: Decimal | None, instrument: Instrument) -> str | None:
    if price is None:
        return None
    if not price.is_finite() or price <= 0:
        return f"{name}={price}: must be finite and positive"
    if not instrument.on_tick(price):
        return f"{name}={price}: not a multiple of the tick {instrument.tick}"
    return None


def _impossible(intent: OrderIntent, capabilities: Capabilities) -> str | None:
    """What the venue has no request for: it must not go out as something less."""
    wanted = (
        (intent.attached or intent.attached_stop is not None, capabilities.attached_stop, "attached stop"),
        (intent.close_position, capabilities.close_position_stop, "stop that closes the position"),
        (intent.replaces is not None, capabilities.amends_stops, "amended stop"),
        (intent.kind.conditional, intent.trigger_by in capabilities.triggers, f"trigger by {intent.trigger_by}"),
    )
    for asked, able, what in wanted:
        if asked and not able:
            return f"client_id={intent.client_id}: this venue has no {what}"
    special = intent.attached or intent.close_position or intent.replaces is not None
    if special and intent.kind is not OrderKind.STOP:
        return f"client_id={intent.client_id}: only a stop is attached, replaced or closes the position"
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


def attached_id(symbol: str, held: PositionSide) -> str:
    """How we name the stop that stands on a position itself: when it is set the venue tells no id of it."""
    return f"on {symbol} {held.value}"
