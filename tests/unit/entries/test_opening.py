"""A position at the moment of its decision: everything it will live by, and what an operator may not ask for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from domain.entries.checks import Refusal
from domain.entries.opening import adopted_position, new_position, wrong_stop, wrong_targets
from domain.entries.sizing import checked_quantity
from domain.identity import Epoch
from domain.instrument import PositionSide
from domain.position import ledger
from domain.position.plan import Plan, Protection, TakeProfit, TrailingRules
from domain.position.state import Phase, Position
from tests.unit.domain.samples import BTC, POSITION, D

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PLAN = Plan(quantity=D("0.01"), protection=Protection(), trailing=TrailingRules(), reference_price=D(60_000))
COMMON: dict[str, Any] = {
    "account": "main",
    "exchange": "bybit",
    "instance": "ab12",
    "instrument": BTC,
    "side": PositionSide.SHORT,
    "plan": PLAN,
    "epoch": Epoch(3, 2),
    "correlation_id": "signal 7",
}


def test_a_new_position_has_yet_to_send_its_entry() -> None:
    made = new_position(position_id=POSITION, now=NOON, signal_id="7", signal_key="BTCUSDT:SELL:12:00", **COMMON)
    assert made == Position(
        id=POSITION,
        opened_at=NOON,
        signal_id="7",
        signal_key="BTCUSDT:SELL:12:00",
        mark_price=D(60_000),
        **COMMON,
    )
    assert made.phase is Phase.PENDING_ENTRY
    assert not made.adopted


@pytest.mark.parametrize(("entry_price", "believed"), [(D(59_000), D(59_000)), (None, D(60_500))])
def test_an_adopted_position_is_there_and_wants_its_stop(entry_price: Decimal | None, believed: Decimal) -> None:
    made = adopted_position(
        position_id=POSITION,
        now=NOON,
        quantity=D("0.5"),
        entry_price=entry_price,
        mark_price=D(60_500),
        **COMMON,
    )
    assert made == Position(
        id=POSITION,
        opened_at=NOON,
        adopted=True,
        phase=Phase.PENDING_SL,
        adopted_quantity=D("0.5"),
        adopted_price=believed,
        mark_price=D(60_500),
        **COMMON,
    )
    assert (ledger.exposure(made), ledger.entry_price(made)) == (D("0.5"), believed)


@pytest.mark.parametrize("quantity", ["0.002", "0.005", "100"])
def test_a_quantity_within_the_venues_limits_is_taken_as_it_is(quantity: str) -> None:
    instrument = replace(BTC, min_quantity=D("0.002"))
    assert checked_quantity(instrument, D(quantity), D(60_000)) == D(quantity)


@pytest.mark.parametrize(
    ("quantity", "price", "refusal"),
    [
        ("0.0025", 60_000, Refusal(code="quantity_off_step", figures={"quantity": "0.0025", "step": "0.001"})),
        (
            "0.001",
            60_000,
            Refusal(code="quantity_out_of_range", figures={"quantity": "0.001", "min": "0.002", "max": "100"}),
        ),
        (
            "100.001",
            60_000,
            Refusal(code="quantity_out_of_range", figures={"quantity": "100.001", "min": "0.002", "max": "100"}),
        ),
        (
            "0.002",
            49_999,
            Refusal(code="below_min_notional", figures={"notional": "99.998", "min_notional": "100"}),
        ),
    ],
)
def test_any_other_is_refused_with_its_figures(quantity: str, price: int, refusal: Refusal) -> None:
    assert checked_quantity(replace(BTC, min_quantity=D("0.002")), D(quantity), D(price)) == refusal


def test_just_the_minimum_value_is_enough() -> None:
    assert checked_quantity(BTC, D("0.002"), D(50_000)) == D("0.002")


@pytest.mark.parametrize(
    ("side", "stop", "wrong"),
    [
        (PositionSide.LONG, "59999.9", False),
        (PositionSide.LONG, "60000", True),
        (PositionSide.LONG, "60000.1", True),
        (PositionSide.SHORT, "60000.1", False),
        (PositionSide.SHORT, "60000", True),
        (PositionSide.SHORT, "59999.9", True),
    ],
)
def test_a_given_stop_lies_on_the_losing_side(side: PositionSide, stop: str, wrong: bool) -> None:
    figures = {"stop_price": stop, "mark_price": "60000", "side": side.value}
    refusal = Refusal(code="stop_on_wrong_side", figures=figures)
    assert wrong_stop(side, replace(PLAN, stop_price=D(stop))) == (refusal if wrong else None)


@pytest.mark.parametrize(
    ("side", "stop", "distance"),
    [
        (PositionSide.LONG, "30000", None),
        (PositionSide.LONG, "29999.9", "50.00"),
        (PositionSide.LONG, "6000", "90.00"),
        (PositionSide.SHORT, "90000", None),
        (PositionSide.SHORT, "600000", "900.00"),
    ],
)
def test_a_stop_that_could_not_be_had_opens_nothing(side: PositionSide, stop: str, distance: str | None) -> None:
    given = {"stop_price": stop, "mark_price": "60000", "side": side.value}
    refusal = Refusal(code="stop_too_far", figures={**given, "distance_pct": distance, "farthest_pct": "50"})
    assert wrong_stop(side, replace(PLAN, stop_price=D(stop))) == (refusal if distance else None)


@pytest.mark.parametrize(("stop_pct", "wrong"), [("50", False), ("50.1", True)])
def test_the_same_of_one_given_in_per_cent(stop_pct: str, wrong: bool) -> None:
    plan = replace(PLAN, protection=replace(PLAN.protection, stop_pct=D(stop_pct)))
    refusal = Refusal(code="stop_too_far", figures={"stop_pct": stop_pct, "farthest_pct": "50"})
    assert wrong_stop(PositionSide.LONG, plan) == (refusal if wrong else None)


def test_without_a_stop_or_a_mark_there_is_nothing_to_judge() -> None:
    assert wrong_stop(PositionSide.LONG, PLAN) is None
    assert wrong_stop(PositionSide.LONG, replace(PLAN, stop_price=D(70_000), reference_price=None)) is None


def goals(*figures: tuple[str, str]) -> Plan:
    return replace(PLAN, take_profits=tuple(TakeProfit(pct=D(pct), fraction=D(part)) for pct, part in figures))


@pytest.mark.parametrize(
    "figures",
    [(), (("1", "1"),), (("0.5", "0.25"), ("1", "0.75")), (("50", "0.001"),), (("2", "0.5"), ("1", "0.5"))],
)
def test_take_profits_that_fit_are_taken(figures: tuple[tuple[str, str], ...]) -> None:
    assert wrong_targets(goals(*figures)) is None


RANGE = "pct must be greater than 0 and at most 50"
PART = "fraction must be greater than 0 and at most 1"


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ([("0", "0.5")], {"pct": "0", "fraction": "0.5", "rule": RANGE}),
        ([("-1", "0.5")], {"pct": "-1", "fraction": "0.5", "rule": RANGE}),
        ([("1", "0.5"), ("50.01", "0.5")], {"pct": "50.01", "fraction": "0.5", "rule": RANGE}),
        ([("1", "0")], {"pct": "1", "fraction": "0", "rule": PART}),
        ([("1", "1.01")], {"pct": "1", "fraction": "1.01", "rule": PART}),
        (
            [("1", "0.2"), ("2", "0.2"), ("1", "0.3")],
            {"pct": "1", "fraction": "0.3", "rule": "two targets must not have the same pct"},
        ),
        (
            [("1", "0.5"), ("2", "0.51")],
            {"sum": "1.01", "rule": "the fractions must not add up to more than 1"},
        ),
    ],
)
def test_others_are_refused_with_the_rule(figures: list[tuple[str, str]], told: dict[str, str]) -> None:
    assert wrong_targets(goals(*figures)) == Refusal(code="wrong_take_profit", figures=told)
