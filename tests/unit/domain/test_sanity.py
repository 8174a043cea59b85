"""The last check before the wire: every rule of LAWS S13, each broken alone."""

from __future__ import annotations

from dataclasses import replace
from decimal import Context, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.identity import Epoch, OrderKind, PositionId, mint_client_id
from domain.instrument import PositionSide, Side
from domain.orders import OrderIntent, RejectReason
from domain.sanity import Objection, Rule, check_intent, refusal_of
from tests.unit.domain.samples import BTC, D, intent

MARK = D(60_000)
ALL = [(kind, side) for kind in OrderKind for side in PositionSide]


def check(order: OrderIntent, mark: Decimal | None = MARK, liquidation: Decimal | None = None) -> str | None:
    objection = check_intent(order, BTC, mark, liquidation, max_distance_pct=D(15))
    return None if objection is None else objection.text


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
def test_only_the_wrong_side_of_the_mark_is_answered_as_would_trigger(
    kind: OrderKind, changes: dict[str, Any], words: str
) -> None:
    order = intent(kind, **changes)
    objection = check_intent(order, BTC, MARK, None, max_distance_pct=D(15))
    assert objection is not None
    assert (objection.rule is Rule.MARK_SIDE) is ("wrong side" in words)
    would_trigger = refusal_of(order, objection) is RejectReason.WOULD_TRIGGER
    assert would_trigger is ("wrong side" in words)


def test_an_entry_whose_own_stop_the_mark_has_passed_is_insane() -> None:
    entry = intent(OrderKind.ENTRY, attached_stop=D(60_500))
    objection = check_intent(entry, BTC, MARK, None, max_distance_pct=D(15))
    assert objection is not None
    assert objection.text == "attached_stop=60500: on the wrong side of the mark price 60000 for a long ENTRY"
    assert refusal_of(entry, objection) is RejectReason.INSANE


@pytest.mark.parametrize("price", [D(60_300), D(60_000), D(59_700)])
def test_an_entry_may_have_a_limit_on_either_side_of_the_mark(price: Decimal) -> None:
    assert check(intent(OrderKind.ENTRY, limit_price=price)) is None


RULES: list[tuple[Rule, OrderKind, dict[str, Any]]] = [
    (Rule.IDENTITY, OrderKind.STOP, {"symbol": "ETHUSDT"}),
    (Rule.DIRECTION, OrderKind.STOP, {"side": Side.BUY}),
    (Rule.NUMBER, OrderKind.EXIT, {"quantity": D(0)}),
    (Rule.GRID, OrderKind.STOP, {"trigger_price": D("59000.15")}),
    (Rule.SIZE, OrderKind.ENTRY, {"quantity": D("100.001")}),
    (Rule.SHAPE, OrderKind.EXIT, {"trigger_price": D(59_000)}),
    (Rule.SHAPE, OrderKind.EXIT, {"attached_stop": D(59_000)}),
    (Rule.SHAPE, OrderKind.EXIT, {"limit_price": D(59_000)}),
    (Rule.NUMBER, OrderKind.ENTRY, {"limit_price": D("NaN")}),
    (Rule.NUMBER, OrderKind.ENTRY, {"limit_price": D(-1)}),
    (Rule.GRID, OrderKind.ENTRY, {"limit_price": D("60300.05")}),
    (Rule.DISTANCE, OrderKind.ENTRY, {"limit_price": D(70_000)}),
    (Rule.DISTANCE, OrderKind.ENTRY, {"limit_price": D(50_000)}),
    (Rule.MARK_SIDE, OrderKind.TAKE_PROFIT, {"trigger_price": D(59_000)}),
    (Rule.DISTANCE, OrderKind.STOP, {"trigger_price": D(50_000)}),
    (Rule.DISTANCE, OrderKind.ENTRY, {"attached_stop": D(50_000)}),
]


@pytest.mark.parametrize(("rule", "kind", "changes"), RULES)
def test_the_rule_is_named(rule: Rule, kind: OrderKind, changes: dict[str, Any]) -> None:
    objection = check_intent(intent(kind, **changes), BTC, MARK, None, max_distance_pct=D(15))
    assert objection is not None
    assert objection.rule is rule


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


WORDS: list[tuple[OrderKind, dict[str, Any], str]] = [
    (OrderKind.STOP, {"trigger_price": None}, "trigger_price=None: an order of kind STOP needs a trigger price"),
    (OrderKind.EXIT, {"trigger_price": D(5)}, "trigger_price=5: an order of kind EXIT takes no trigger price"),
    (
        OrderKind.STOP,
        {"trigger_price": D(60_000)},
        "trigger_price=60000: on the wrong side of the mark price 60000 for a long STOP",
    ),
    (
        OrderKind.STOP,
        {"trigger_price": D(50_000)},
        "trigger_price=50000: 16.67 % away from 60000, at most 15 % are allowed",
    ),
]


@pytest.mark.parametrize(("kind", "changes", "words"), WORDS)
def test_the_sentence_can_be_read_aloud(kind: OrderKind, changes: dict[str, Any], words: str) -> None:
    assert check(intent(kind, **changes)) == words


def test_an_id_may_fill_the_venues_36_characters() -> None:
    client_id = mint_client_id("ab12", PositionId(36**10 - 1), Epoch(36**4 - 1, 36**4 - 1), 36**7 - 1, OrderKind.STOP)
    assert len(client_id) == 36
    assert check(intent(client_id=client_id, position_id=36**10 - 1)) is None


@pytest.mark.parametrize(
    ("quantity", "passes"),
    [("1e17", True), ("1e18", False), ("0.010000000000000000", True), ("0.0100000000000000000", False)],
)
def test_a_figure_has_eighteen_digits_before_and_after_the_point(quantity: str, passes: bool) -> None:
    assert (check(intent(OrderKind.EXIT, quantity=D(quantity))) is None) is passes


@pytest.mark.parametrize("quantity", [BTC.min_quantity, BTC.max_market_quantity])
def test_an_entry_may_be_as_small_and_as_large_as_the_venue_says(quantity: Decimal) -> None:
    assert check(intent(OrderKind.ENTRY, quantity=quantity)) is None


def test_a_trigger_may_be_just_as_far_away_as_is_set() -> None:
    assert check(intent(trigger_price=D(51_000))) is None
    assert check(intent(trigger_price=D("50999.9"))) == (
        "trigger_price=50999.9: 15.00 % away from 60000, at most 15 % are allowed"
    )


def test_a_price_below_one_is_a_price() -> None:
    cheap = replace(BTC, tick=D("0.001"))
    order = intent(trigger_price=D("0.45"))
    for mark, liquidation, words in (
        (D("0.44"), None, "wrong side of the mark price 0.44"),
        (D("0.5"), D("0.46"), "not before the liquidation price 0.46"),
    ):
        said = check_intent(order, cheap, mark, liquidation, max_distance_pct=D(15))
        assert said is not None
        assert words in said.text
    assert check_intent(order, cheap, D("0.5"), D("0.4"), max_distance_pct=D(15)) is None


@pytest.mark.parametrize("side", list(PositionSide))
def test_a_price_of_zero_is_none(side: PositionSide) -> None:
    """Venues say 0 for 'no mark yet' and for 'no liquidation price'."""
    assert check(intent(owner=side), mark=D(0), liquidation=D(0)) is None


def test_the_context_that_ccxt_leaves_behind_brings_no_trigger_nearer() -> None:
    with localcontext(Context(prec=3)):
        assert check(intent(trigger_price=D("50999.9"))) is not None


KINDS: list[tuple[Rule, OrderKind, dict[str, Any]]] = [
    (Rule.IDENTITY, OrderKind.STOP, {"symbol": "ETHUSDT"}),
    (Rule.IDENTITY, OrderKind.STOP, {"client_id": "x-1"}),
    (Rule.DIRECTION, OrderKind.STOP, {"side": Side.BUY}),
    (Rule.DIRECTION, OrderKind.STOP, {"reduce_only": False}),
    (Rule.NUMBER, OrderKind.STOP, {"quantity": D("NaN")}),
    (Rule.NUMBER, OrderKind.STOP, {"trigger_price": D("NaN")}),
    (Rule.GRID, OrderKind.STOP, {"quantity": D("0.0105")}),
    (Rule.GRID, OrderKind.STOP, {"trigger_price": D("59000.15")}),
    (Rule.SIZE, OrderKind.ENTRY, {"quantity": D("100.001")}),
    (Rule.SHAPE, OrderKind.STOP, {"trigger_price": None}),
    (Rule.MARK_SIDE, OrderKind.STOP, {"trigger_price": D(61_000)}),
    (Rule.DISTANCE, OrderKind.STOP, {"trigger_price": D(50_000)}),
]


@pytest.mark.parametrize(("rule", "kind", "changes"), KINDS)
def test_a_broken_rule_is_told_by_its_kind(rule: Rule, kind: OrderKind, changes: dict[str, Any]) -> None:
    objection = check_intent(intent(kind, **changes), BTC, MARK, None, max_distance_pct=D(15))
    assert objection is not None
    assert objection.rule is rule


def test_too_small_and_too_near_to_liquidation_are_kinds_of_their_own() -> None:
    larger = replace(BTC, min_quantity=D("0.02"))
    small = check_intent(intent(OrderKind.ENTRY), larger, MARK, None, max_distance_pct=D(15))
    assert small == Objection(Rule.SIZE, "quantity=0.01: below the minimum 0.02")
    late = check_intent(intent(), BTC, MARK, D(59_000), max_distance_pct=D(15))
    assert late == Objection(
        Rule.LIQUIDATION, "trigger_price=59000: not before the liquidation price 59000 of a long"
    )
