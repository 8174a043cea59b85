"""The last check before the wire: an order that breaks a rule of LAWS S13 is never sent, whoever decided it.

Rules of this file. It trusts nothing that was computed before it, types included, and it answers for any input without
raising. A rule broken is named in words with the value. Only the rule about the side of the mark price speaks of the
'mark price': whoever hears of it may treat the order as one that would trigger at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, localcontext

from domain.identity import MAX_CLIENT_ID, OrderKind, parse_client_id
from domain.instrument import MONEY, Instrument
from domain.orders import OrderIntent

DIGITS_LIMIT = 18  # before and after the point: far beyond any price or quantity, well inside exact arithmetic


def check_intent(
    intent: OrderIntent,
    instrument: Instrument,
    mark: Decimal | None,
    liquidation_price: Decimal | None,
    *,
    max_distance_pct: Decimal,
) -> str | None:
    """The first rule that `intent` breaks, in words with the value, or None when it may be sent.

    `mark` None: the mark price of the decision (`reference_price`) is judged against, and when that is missing too,
    side and distance are not judged. `max_distance_pct`: how many per cent of the mark a trigger may be away.
    """
    return next(_broken(intent, instrument, mark, liquidation_price, max_distance_pct), None)


def _broken(
    intent: OrderIntent, instrument: Instrument, mark: Decimal | None, liquidation: Decimal | None, limit: Decimal
) -> Iterator[str]:
    yield from _identity(intent, instrument)
    yield from _direction(intent)
    yield from _number("quantity", intent.quantity)
    yield from _quantity(intent, instrument)
    if intent.kind.conditional != (intent.trigger_price is not None):
        wanted = "needs a trigger price" if intent.kind.conditional else "takes no trigger price"
        yield f"trigger_price={intent.trigger_price}: an order of kind {intent.kind.name} {wanted}"
    if intent.trigger_price is not None:
        yield from _number("trigger_price", intent.trigger_price)
        if not instrument.on_tick(intent.trigger_price):
            yield f"trigger_price={intent.trigger_price}: not a multiple of the tick {instrument.tick}"
        judged = mark if mark is not None else intent.reference_price
        yield from _place(intent, intent.trigger_price, judged, liquidation, limit)


def _identity(intent: OrderIntent, instrument: Instrument) -> Iterator[str]:
    if intent.symbol != instrument.symbol:
        yield f"symbol={intent.symbol}: judged by the rules of {instrument.symbol}"
    parsed = parse_client_id(intent.client_id)
    if parsed is None or len(intent.client_id) > MAX_CLIENT_ID:
        yield f"client_id={intent.client_id!r}: not an id of ours of at most {MAX_CLIENT_ID} characters"
    elif parsed.kind is not intent.kind or parsed.position_id != intent.position_id:
        yield f"client_id={intent.client_id}: is not for {intent.kind.name} {intent.position_id}"


def _direction(intent: OrderIntent) -> Iterator[str]:
    entry = intent.kind is OrderKind.ENTRY
    fitting = intent.position_side.opening if entry else intent.position_side.closing
    if intent.side is not fitting:
        yield f"side={intent.side}: an order of kind {intent.kind.name} of a {intent.position_side} has to {fitting}"
    if intent.reduce_only is entry:
        yield f"reduce_only={intent.reduce_only}: must be set for every order but an entry, this is {intent.kind.name}"


def _number(name: str, value: object) -> Iterator[str]:
    if not isinstance(value, Decimal):
        yield f"{name}={value!r}: must be an exact decimal, not {type(value).__name__}"
    elif not value.is_finite() or value <= 0:
        yield f"{name}={value}: must be finite and positive"
    elif value.adjusted() >= DIGITS_LIMIT or int(value.as_tuple().exponent) < -DIGITS_LIMIT:
        yield f"{name}={value}: must have at most {DIGITS_LIMIT} digits before and after the point"


def _quantity(intent: OrderIntent, instrument: Instrument) -> Iterator[str]:
    quantity = intent.quantity
    if not instrument.on_step(quantity):
        yield f"quantity={quantity}: not a multiple of the step {instrument.step}"
    if intent.kind is not OrderKind.ENTRY:
        return
    if quantity < instrument.min_quantity:
        yield f"quantity={quantity}: below the minimum {instrument.min_quantity}"
    if quantity > instrument.max_market_quantity:
        yield f"quantity={quantity}: above the maximum {instrument.max_market_quantity}"


def _place(
    intent: OrderIntent, trigger: Decimal, mark: Decimal | None, liquidation: Decimal | None, limit: Decimal
) -> Iterator[str]:
    side, stop = intent.position_side, intent.kind is OrderKind.STOP
    if mark is not None and mark.is_finite() and mark > 0:
        right = side.better(mark, trigger) if stop else side.better(trigger, mark)
        if not right:
            order = f"{side} {intent.kind.name}"
            yield f"trigger_price={trigger}: on the wrong side of the mark price {mark} for a {order}"
        with localcontext(MONEY):
            distance = abs(trigger - mark) / mark * 100
        if distance > limit:
            yield f"trigger_price={trigger}: {distance:.2f} % away from {mark}, at most {limit} % are allowed"
    known = liquidation is not None and liquidation.is_finite() and liquidation > 0
    if stop and known and liquidation is not None and not side.better(trigger, liquidation):
        yield f"trigger_price={trigger}: not before the liquidation price {liquidation} of a {side}"
