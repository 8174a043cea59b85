"""The last check before the wire: an order that breaks a rule of LAWS S13 is never sent, whoever decided it.

Rules of this file. It trusts nothing that was computed before it, types included, and it answers for any input without
raising. A rule broken is named in words with the value, and by its kind: whoever hears that a trigger is on the wrong
side of the mark (`Rule.MARK_SIDE`) may treat the order as one that would trigger at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from domain.identity import MAX_CLIENT_ID, OrderKind, parse_client_id
from domain.instrument import Instrument, distance_pct
from domain.orders import OrderIntent, RejectReason

DIGITS_LIMIT = 18  # before and after the point: far beyond any price or quantity, well inside exact arithmetic


class Rule(StrEnum):
    """What a broken rule is about."""

    IDENTITY = "identity"
    DIRECTION = "direction"
    NUMBER = "number"
    GRID = "grid"
    SIZE = "size"
    SHAPE = "shape"
    MARK_SIDE = "mark_side"
    DISTANCE = "distance"
    LIQUIDATION = "liquidation"


class Objection(NamedTuple):
    """A rule that an order breaks, and what about it in words with the value."""

    rule: Rule
    text: str


def check_intent(
    intent: OrderIntent,
    instrument: Instrument,
    mark: Decimal | None,
    liquidation_price: Decimal | None,
    *,
    max_distance_pct: Decimal,
) -> Objection | None:
    """The first rule that `intent` breaks, or None when it may be sent.

    `mark` None: the mark price of the decision (`reference_price`) is judged against, and when that is missing too,
    side and distance are not judged. `max_distance_pct`: how many per cent of the mark a trigger may be away.
    """
    return next(_broken(intent, instrument, mark, liquidation_price, max_distance_pct), None)


def refusal_of(intent: OrderIntent, objection: Objection) -> RejectReason:
    """What the owner hears: a stop or target that the mark has passed is answered as a venue would answer it."""
    passed = intent.kind.conditional and objection.rule is Rule.MARK_SIDE
    return RejectReason.WOULD_TRIGGER if passed else RejectReason.INSANE


def _broken(
    intent: OrderIntent, instrument: Instrument, mark: Decimal | None, liquidation: Decimal | None, limit: Decimal
) -> Iterator[Objection]:
    yield from _about(Rule.IDENTITY, _identity(intent, instrument))
    yield from _about(Rule.DIRECTION, _direction(intent))
    yield from _about(Rule.NUMBER, _number("quantity", intent.quantity))
    yield from _quantity(intent, instrument)
    yield from _about(Rule.SHAPE, _shape(intent))
    yield from _limit(intent, instrument, mark if mark is not None else intent.reference_price, limit)
    for name, price in (("trigger_price", intent.trigger_price), ("attached_stop", intent.attached_stop)):
        if price is None:
            continue
        yield from _about(Rule.NUMBER, _number(name, price))
        if not instrument.on_tick(price):
            yield Objection(Rule.GRID, f"{name}={price}: not a multiple of the tick {instrument.tick}")
        judged = mark if mark is not None else intent.reference_price
        yield from _place(intent, name, price, judged, liquidation, limit)


def _about(rule: Rule, texts: Iterator[str]) -> Iterator[Objection]:
    return (Objection(rule, text) for text in texts)


def _shape(intent: OrderIntent) -> Iterator[str]:
    if intent.kind.conditional != (intent.trigger_price is not None):
        wanted = "needs a trigger price" if intent.kind.conditional else "takes no trigger price"
        yield f"trigger_price={intent.trigger_price}: an order of kind {intent.kind.name} {wanted}"
    if intent.limit_price is not None and intent.kind is not OrderKind.ENTRY:
        yield f"limit_price={intent.limit_price}: only an entry takes one, this is {intent.kind.name}"
    if intent.attached_stop is not None and intent.kind is not OrderKind.ENTRY:
        yield f"attached_stop={intent.attached_stop}: only an entry takes one along, this is {intent.kind.name}"


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


def _quantity(intent: OrderIntent, instrument: Instrument) -> Iterator[Objection]:
    quantity = intent.quantity
    if not instrument.on_step(quantity):
        yield Objection(Rule.GRID, f"quantity={quantity}: not a multiple of the step {instrument.step}")
    if intent.kind is not OrderKind.ENTRY:
        return
    if quantity < instrument.min_quantity:
        yield Objection(Rule.SIZE, f"quantity={quantity}: below the minimum {instrument.min_quantity}")
    if quantity > instrument.max_market_quantity:
        yield Objection(Rule.SIZE, f"quantity={quantity}: above the maximum {instrument.max_market_quantity}")


def _limit(intent: OrderIntent, instrument: Instrument, mark: Decimal | None, limit: Decimal) -> Iterator[Objection]:
    """What an entry may pay: on the tick, and not absurdly far from the mark on either side."""
    price = intent.limit_price
    if price is None:
        return
    yield from _about(Rule.NUMBER, _number("limit_price", price))
    if not instrument.on_tick(price):
        yield Objection(Rule.GRID, f"limit_price={price}: not a multiple of the tick {instrument.tick}")
    yield from _distance("limit_price", price, mark, limit)


def _distance(name: str, price: Decimal, mark: Decimal | None, limit: Decimal) -> Iterator[Objection]:
    if mark is None or not mark.is_finite() or mark <= 0:
        return
    distance = distance_pct(price, mark)
    if distance > limit:
        text = f"{name}={price}: {distance:.2f} % away from {mark}, at most {limit} % are allowed"
        yield Objection(Rule.DISTANCE, text)


def _place(
    intent: OrderIntent, name: str, trigger: Decimal, mark: Decimal | None, liquidation: Decimal | None, limit: Decimal
) -> Iterator[Objection]:
    side, stop = intent.position_side, intent.kind is not OrderKind.TAKE_PROFIT
    if mark is not None and mark.is_finite() and mark > 0:
        right = side.better(mark, trigger) if stop else side.better(trigger, mark)
        if not right:
            order = f"{side} {intent.kind.name}"
            text = f"{name}={trigger}: on the wrong side of the mark price {mark} for a {order}"
            yield Objection(Rule.MARK_SIDE, text)
    yield from _distance(name, trigger, mark, limit)
    known = liquidation is not None and liquidation.is_finite() and liquidation > 0
    if stop and known and liquidation is not None and not side.better(trigger, liquidation):
        text = f"{name}={trigger}: not before the liquidation price {liquidation} of a {side}"
        yield Objection(Rule.LIQUIDATION, text)
