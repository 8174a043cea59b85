"""The figures of aged positions: exits only relax, one step at a time, within the largest loss."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.instrument import PositionSide
from domain.judgement.aging import AgingRules, due, exit_price, profit_asked, step_at
from tests.unit.domain.samples import START, D

RULES = AgingRules(max_age_s=3600, step_s=600, step_pct=D("0.5"), max_loss_pct=D("1.2"), fee_pct=D("0.05"))


def percents(low: str, high: str) -> st.SearchStrategy[Decimal]:
    return st.decimals(low, high, places=3)


RANDOM = st.builds(
    AgingRules,
    max_age_s=st.integers(1, 10**6),
    step_s=st.integers(1, 10**5),
    step_pct=percents("0.05", "5"),
    max_loss_pct=percents("0", "10"),
    fee_pct=percents("0", "0.5"),
)


@pytest.mark.parametrize(
    ("seconds", "step"), [(0, None), (3599, None), (3600, 0), (4199, 0), (4200, 1), (5400, 3), (6000, 4), (10**9, 4)]
)
def test_steps_of_an_age(seconds: int, step: int | None) -> None:
    assert step_at(RULES, timedelta(seconds=seconds)) == step


def test_break_even_with_fees_then_losses_up_to_the_largest_then_any_price() -> None:
    assert [profit_asked(RULES, step) for step in range(RULES.last)] == [D("0.1"), D("-0.5"), D(-1), D("-1.2")]
    assert RULES.last == 4
    assert exit_price(RULES, 0, PositionSide.LONG, D(1000)) == D(1001)
    assert exit_price(RULES, 0, PositionSide.SHORT, D(1000)) == D(999)
    assert exit_price(RULES, 3, PositionSide.SHORT, D(1000)) == D(1012)


def test_without_a_loss_it_is_break_even_and_then_any_price() -> None:
    rules = AgingRules(max_age_s=10, step_s=10, step_pct=D("0.5"), max_loss_pct=D(0), fee_pct=D(0))
    assert rules.last == 1
    assert [step_at(rules, timedelta(seconds=age)) for age in (9, 10, 20)] == [None, 0, 1]


@given(rules=RANDOM, side=st.sampled_from(PositionSide), entry=percents("0.001", "100000"), step=st.integers(0, 400))
def test_an_exit_only_relaxes_and_never_beyond_the_largest_loss(
    rules: AgingRules, side: PositionSide, entry: Decimal, step: int
) -> None:
    step = min(step, max(rules.last - 2, 0))
    now, later = exit_price(rules, step, side, entry), exit_price(rules, step + 1, side, entry)
    assert not side.better(later, now)
    floor = entry - entry * rules.max_loss_pct / 100 * side.sign
    assert not side.better(floor, min(now, later, key=lambda price: price * side.sign))


@given(rules=RANDOM, step=st.integers(0, 500))
def test_a_step_begins_when_it_is_due(rules: AgingRules, step: int) -> None:
    step = min(step, rules.last)
    age = due(rules, START, step) - START
    assert step_at(rules, age) == step
    assert step_at(rules, age - timedelta(microseconds=1)) == (step - 1 if step else None)
