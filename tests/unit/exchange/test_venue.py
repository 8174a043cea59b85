"""The last check before the wire: an order that is wrong in itself is named, a sound one passes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.exchange.binance_rows import instrument
from adapters.exchange.venue import BadReply, exact, insanity, row_of_side
from domain.identity import ClientOrderId, OrderKind
from domain.instrument import PositionSide, Side
from tests.unit.exchange.recording_venue import SYMBOL_ROW, intent, position_row

BTC = instrument(SYMBOL_ROW)


@pytest.mark.parametrize("kind", list(OrderKind))
def test_sound_orders_pass(kind: OrderKind) -> None:
    assert insanity(intent(kind), BTC) is None


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
    ],
)
def test_what_is_wrong_is_named(kind: OrderKind, changes: dict[str, Any], words: str) -> None:
    text = insanity(intent(kind, **changes), BTC)
    assert text is not None
    assert words in text


def test_an_unknown_symbol_is_named() -> None:
    assert "symbol=BTCUSDT" in str(insanity(intent(), None))


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
