"""The last check before the wire: every rule of LAWS S13, each broken alone."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.identity import OrderKind
from domain.instrument import PositionSide, Side
from domain.orders import OrderIntent
from domain.sanity import check_intent
from tests.unit.domain.samples import BTC, D, intent

MARK = D(60_000)
ALL = [(kind, side) for kind in OrderKind for side in PositionSide]


def check(order: OrderIntent, mark: Decimal | None = MARK, liquidation: Decimal | None = None) -> str | None:
    return check_intent(order, BTC, mark, liquidation, max_distance_pct=D(15))


@pytest.mark.parametrize(("kind", "side"), ALL)
def test_a_good_order_passes(kind: OrderKind, side: PositionSide) -> None:
    assert check(intent(kind, side)) is None
    assert check(intent(kind, side), mark=None) is None


BROKEN: list[tuple[OrderKind, dict[str, Any], str]] = [
    (OrderKind.STOP, {"quantity": D("NaN")}, "quantity=NaN: must be finite"),
    (OrderKind.STOP, {"quantity": D("sNaN")}, "quantity=sNaN: must be finite"),
    (OrderKind.STOP, {"quantity": D("Infinity")}, "quantity=Infinity: must be finite"),
    (OrderKind.EXIT, {"quantity": D(0)}, "quantity=0: must be finite and positive"),
    (OrderKind.EXIT, {"quantity": D("-0.01")}, "quantity=-0.01: must be finite and positive"),
    (OrderKind.EXIT, {"quantity": 0.01}, "must be an exact decimal, not float"),
    (OrderKind.EXIT, {"quantity": D("0.0105")}, "quantity=0.0105: not a multiple of the step 0.001"),
    (OrderKind.EXIT, {"quantity": D("1e60")}, "quantity=1E+60: must have at most 18 digits"),
    (OrderKind.EXIT, {"quantity": D("1e-60")}, "quantity=1E-60: must have at most 18 digits"),
    (OrderKind.ENTRY, {"quantity": D("100.001")}, "quantity=100.001: above the maximum 100"),
    (OrderKind.ENTRY, {"reduce_only": True}, "reduce_only=True"),
    (OrderKind.STOP, {"reduce_only": False}, "reduce_only=False"),
    (OrderKind.TAKE_PROFIT, {"reduce_only": False}, "reduce_only=False"),
    (OrderKind.EXIT, {"reduce_only": False}, "reduce_only=False"),
    (OrderKind.ENTRY, {"side": Side.SELL}, "side=sell: an order of kind ENTRY of a long has to buy"),
    (OrderKind.STOP, {"side": Side.BUY}, "side=buy: an order of kind STOP of a long has to sell"),
    (OrderKind.STOP, {"trigger_price": None}, "needs a trigger price"),
    (OrderKind.EXIT, {"trigger_price": D(59_000)}, "takes no trigger price"),
    (OrderKind.ENTRY, {"trigger_price": D(59_000)}, "takes no trigger price"),
    (OrderKind.STOP, {"trigger_price": D("59000.15")}, "trigger_price=59000.15: not a multiple of the tick 0.1"),
    (OrderKind.STOP, {"trigger_price": D("NaN")}, "trigger_price=NaN: must be finite"),
    (OrderKind.STOP, {"trigger_price": D(-1)}, "trigger_price=-1: must be finite and positive"),
    (OrderKind.STOP, {"trigger_price": 59_000.0}, "must be an exact decimal, not float"),
    (OrderKind.STOP, {"trigger_price": D(60_000)}, "wrong side of the mark price 60000"),
    (OrderKind.STOP, {"trigger_price": D(61_000)}, "wrong side of the mark price 60000"),
    (OrderKind.TAKE_PROFIT, {"trigger_price": D(59_000)}, "wrong side of the mark price 60000"),
    (OrderKind.STOP, {"trigger_price": D(50_000)}, "16.67 % away"),
    (OrderKind.STOP, {"symbol": "ETHUSDT"}, "symbol=ETHUSDT: judged by the rules of BTCUSDT"),
    (OrderKind.STOP, {"client_id": "x-1"}, "client_id='x-1': not an id of ours"),
    (OrderKind.STOP, {"client_id": intent(OrderKind.EXIT).client_id}, "is not for STOP"),
    (OrderKind.STOP, {"position_id": 7}, "is not for STOP 7"),
]


@pytest.mark.parametrize(("kind", "changes", "words"), BROKEN)
def test_a_broken_rule_is_named_with_its_value(kind: OrderKind, changes: dict[str, Any], words: str) -> None:
    said = check(intent(kind, **changes))
    assert said is not None
    assert words in said


def test_an_entry_below_the_minimum_is_refused_and_an_exit_is_not() -> None:
    instrument = replace(BTC, min_quantity=D("0.02"))
    for kind, refused in ((OrderKind.ENTRY, True), (OrderKind.EXIT, False), (OrderKind.STOP, False)):
        said = check_intent(intent(kind), instrument, MARK, None, max_distance_pct=D(15))
        assert (said is not None) is refused


@pytest.mark.parametrize(
    ("side", "liquidation", "refused"),
    [
        (PositionSide.LONG, 58_000, False),
        (PositionSide.LONG, 59_000, True),
        (PositionSide.LONG, 59_500, True),
        (PositionSide.SHORT, 62_000, False),
        (PositionSide.SHORT, 61_000, True),
        (PositionSide.SHORT, 60_500, True),
        (PositionSide.LONG, 0, False),
    ],
)
def test_a_stop_lies_before_the_liquidation_price(side: PositionSide, liquidation: int, refused: bool) -> None:
    said = check(intent(owner=side), liquidation=D(liquidation))
    assert (said is not None) is refused
    assert said is None or "liquidation" in said


def test_without_a_mark_the_price_of_the_decision_is_judged_against() -> None:
    said = check(intent(reference_price=D(58_000)), mark=None)
    assert said is not None
    assert "mark price 58000" in said


@pytest.mark.parametrize(("kind", "changes", "words"), BROKEN)
def test_only_the_side_rule_speaks_of_the_mark(kind: OrderKind, changes: dict[str, Any], words: str) -> None:
    said = check(intent(kind, **changes))
    assert said is not None
    assert ("mark" in said) is ("wrong side" in words)


@given(
    quantity=st.decimals(allow_nan=True, allow_infinity=True) | st.floats() | st.integers(),
    trigger=st.none() | st.decimals(allow_nan=True, allow_infinity=True) | st.floats(),
    mark=st.none() | st.decimals(allow_nan=True, allow_infinity=True),
    liquidation=st.none() | st.decimals(allow_nan=True, allow_infinity=True),
    kind=st.sampled_from(OrderKind),
    side=st.sampled_from(PositionSide),
)
def test_it_answers_whatever_it_is_given(
    quantity: Any, trigger: Any, mark: Any, liquidation: Any, kind: OrderKind, side: PositionSide
) -> None:
    order = intent(kind, side, quantity=quantity, trigger_price=trigger)
    if check(order, mark, liquidation) is None:
        assert quantity > 0
        assert quantity % BTC.step == 0
        assert kind.conditional is (trigger is not None)
