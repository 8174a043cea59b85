"""The last check before the wire: an order that is wrong in itself is named, a sound one passes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.exchange.binance_rows import instrument
from adapters.exchange.venue import BadReply, Capabilities, exact, insanity, row_of_side, rules
from domain.identity import ClientOrderId, OrderKind
from domain.instrument import PositionSide, Side
from domain.orders import OrderRef, TriggerBy
from domain.position.plan import MoveStyle, VenueRules
from tests.unit.exchange.recording_venue import SYMBOL_ROW, intent, position_row

BTC = instrument(SYMBOL_ROW)
ABLE = Capabilities(
    attached_stop=True,
    close_position_stop=True,
    amends_stops=True,
    move=MoveStyle.ATTACHED,
    conditional_orders=None,
    reading=1,
    hedge_mode=True,
    triggers=frozenset(TriggerBy),
    limits=(),
)
STOP_REF = OrderRef(symbol="BTCUSDT", client_id=ClientOrderId("x"), exchange_id=None, conditional=True)


@pytest.mark.parametrize("kind", list(OrderKind))
def test_sound_orders_pass(kind: OrderKind) -> None:
    assert insanity(intent(kind), BTC, ABLE) is None


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        (OrderKind.ENTRY, {"quantity": Decimal(0)}, "quantity=0: must be finite and positive"),
        (OrderKind.ENTRY, {"quantity": Decimal("-0.001")}, "quantity=-0.001"),
        (OrderKind.ENTRY, {"quantity": Decimal("NaN")}, "quantity=NaN"),
        (OrderKind.ENTRY, {"quantity": Decimal("Infinity")}, "quantity=Infinity"),
        (OrderKind.ENTRY, {"quantity": Decimal("0.0015")}, "not a multiple of the step 0.001"),
        (OrderKind.ENTRY, {"quantity": Decimal("120.001")}, "above the venue's maximum 120"),
        (OrderKind.ENTRY, {"trigger_price": Decimal(55000)}, "must not have one"),
        (OrderKind.ENTRY, {"reduce_only": True}, "reduce_only=True"),
        (OrderKind.ENTRY, {"side": Side.SELL}, "side=sell"),
        (OrderKind.EXIT, {"reduce_only": False}, "reduce_only=False"),
        (OrderKind.STOP, {"trigger_price": None}, "must have one"),
        (OrderKind.STOP, {"trigger_price": Decimal("55000.15")}, "not a multiple of the tick 0.10"),
        (OrderKind.STOP, {"trigger_price": Decimal(0)}, "trigger_price=0"),
        (OrderKind.STOP, {"trigger_price": Decimal("NaN")}, "trigger_price=NaN"),
        (OrderKind.STOP, {"reduce_only": False}, "reduce_only=False"),
        (OrderKind.STOP, {"side": Side.BUY}, "side=buy"),
        (OrderKind.STOP, {"client_id": ClientOrderId("x" * 37)}, "1 to 36 characters"),
        (OrderKind.STOP, {"client_id": ClientOrderId("")}, "1 to 36 characters"),
        (OrderKind.ENTRY, {"attached_stop": Decimal("55000.15")}, "attached_stop=55000.15: not a multiple of the tick"),
        (OrderKind.ENTRY, {"attached_stop": Decimal(0)}, "attached_stop=0: must be finite and positive"),
        (OrderKind.EXIT, {"attached_stop": Decimal(55000)}, "only an entry takes a stop along"),
        (OrderKind.ENTRY, {"limit_price": Decimal("55000.15")}, "limit_price=55000.15: not a multiple of the tick"),
        (OrderKind.ENTRY, {"limit_price": Decimal(0)}, "limit_price=0: must be finite and positive"),
        (OrderKind.STOP, {"limit_price": Decimal(55000)}, "only an entry takes one"),
        (OrderKind.TAKE_PROFIT, {"attached": True}, "only a stop is attached"),
        (OrderKind.EXIT, {"close_position": True}, "only a stop is attached"),
        (OrderKind.EXIT, {"replaces": STOP_REF}, "only a stop is attached"),
    ],
)
def test_what_is_wrong_is_named(kind: OrderKind, changes: dict[str, Any], words: str) -> None:
    text = insanity(intent(kind, **changes), BTC, ABLE)
    assert text is not None
    assert words in text


@pytest.mark.parametrize("whole", ["attached", "close_position"])
def test_a_stop_on_all_of_a_large_position_has_no_quantity_of_its_own(whole: str) -> None:
    large = {"quantity": Decimal(500)}
    assert insanity(intent(OrderKind.STOP, **large), BTC, ABLE) is not None
    assert insanity(intent(OrderKind.STOP, **large, **{whole: True}), BTC, ABLE) is None


@pytest.mark.parametrize(
    ("lacking", "kind", "changes"),
    [
        ({"attached_stop": False}, OrderKind.STOP, {"attached": True}),
        ({"attached_stop": False}, OrderKind.ENTRY, {"attached_stop": Decimal(55000)}),
        ({"close_position_stop": False}, OrderKind.STOP, {"close_position": True}),
        ({"amends_stops": False}, OrderKind.STOP, {"replaces": STOP_REF}),
        ({"triggers": frozenset({TriggerBy.MARK})}, OrderKind.STOP, {"trigger_by": TriggerBy.LAST}),
    ],
)
def test_what_a_venue_cannot_do_is_not_sent_as_something_less(
    lacking: dict[str, Any], kind: OrderKind, changes: dict[str, Any]
) -> None:
    order = intent(kind, **changes)
    assert insanity(order, BTC, ABLE) is None
    said = insanity(order, BTC, replace(ABLE, **lacking))
    assert said is not None
    assert "this venue has no" in said


def test_the_rules_of_a_position_are_read_from_what_its_venue_can_do() -> None:
    assert rules(ABLE) == VenueRules(attached_stop=True, close_position_stop=True, move=MoveStyle.ATTACHED)
    lacking = replace(ABLE, attached_stop=False, close_position_stop=False, move=MoveStyle.AMEND)
    assert rules(lacking) == VenueRules(attached_stop=False, close_position_stop=False, move=MoveStyle.AMEND)


def test_an_unknown_symbol_is_named() -> None:
    assert "symbol=BTCUSDT" in str(insanity(intent(), None, ABLE))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=0, max_value=10**9))
def test_the_wire_gets_the_exact_number_without_exponent(value: Decimal) -> None:
    text = exact(value)
    assert Decimal(text) == value
    assert "E" not in text.upper()


def test_one_row_of_a_side_is_wanted() -> None:
    from adapters.exchange.binance_rows import position
    from domain.orders import Source
    from tests.unit.exchange.recording_venue import now

    rows = [position(position_row(positionSide=side), now(), Source.QUERY) for side in ("LONG", "SHORT")]
    assert row_of_side(rows, "BTCUSDT", PositionSide.SHORT) is rows[1]
    with pytest.raises(BadReply, match="0 rows"):
        row_of_side(rows, "BTCUSDT", None)
    with pytest.raises(BadReply, match="2 rows"):
        row_of_side([rows[0], rows[0]], "BTCUSDT", PositionSide.LONG)
