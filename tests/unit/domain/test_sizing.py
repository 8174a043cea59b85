"""Sizes: cut to the step, raised to the venue's minimum only within the overshoot, else refused with figures."""

from __future__ import annotations

from dataclasses import replace
from decimal import Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.entries.checks import Refusal
from domain.entries.sizing import size_usd
from domain.instrument import Instrument
from tests.unit.domain.samples import BTC, D


def test_the_size_is_cut_to_the_step() -> None:
    assert size_usd(D(250), D(60_000), BTC, D(10)) == D("0.004")


def test_a_size_just_below_the_minimum_is_raised_to_it() -> None:
    assert size_usd(D(110), D(60_000), BTC, D(10)) == D("0.002")


def test_a_size_too_far_below_the_minimum_is_refused_with_figures() -> None:
    said = size_usd(D(109), D(60_000), BTC, D(10))
    assert isinstance(said, Refusal)
    assert said.code == "below_minimum"
    assert said.figures["needed_usd"] == D(120)
    assert said.figures["allowed_usd"] == D("119.9")
    assert said.figures["min_notional"] == D(100)


def test_a_minimum_off_the_step_is_raised_to_the_next_step() -> None:
    odd = replace(BTC, min_quantity=D("0.0025"), min_notional=D(5))
    assert size_usd(D(170), D(60_000), odd, D(10)) == D("0.003")


def test_more_than_one_market_order_carries_is_refused() -> None:
    said = size_usd(D(7_000_000), D(60_000), BTC, D(10))
    assert isinstance(said, Refusal)
    assert said.code == "above_maximum"
    assert said.figures["max_quantity"] == D(100)


@pytest.mark.parametrize(
    ("usd", "price", "overshoot", "words"),
    [
        ("0", "1", "10", "usd=0"),
        ("NaN", "1", "10", "usd=NaN"),
        ("1", "-1", "10", "price=-1"),
        ("1", "Infinity", "10", "price=Infinity"),
        ("1", "1", "-1", "overshoot_pct=-1"),
    ],
)
def test_senseless_figures_are_named(usd: str, price: str, overshoot: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        size_usd(D(usd), D(price), BTC, D(overshoot))


MONEY_AMOUNTS = st.decimals("1", "1e6", places=2)
STEPS = st.sampled_from(["0.001", "0.1", "1", "10"]).map(D)


@given(
    usd=MONEY_AMOUNTS,
    price=st.decimals("0.001", "1e5", places=4),
    step=STEPS,
    min_quantity=st.decimals("0.001", "100", places=3),
    min_notional=st.decimals("0", "200", places=1),
    overshoot=st.decimals("0", "50", places=1),
)
def test_what_is_granted_is_valid_and_never_above_the_overshoot(
    usd: Decimal, price: Decimal, step: Decimal, min_quantity: Decimal, min_notional: Decimal, overshoot: Decimal
) -> None:
    instrument: Instrument = replace(BTC, step=step, min_quantity=min_quantity, min_notional=min_notional)
    said = size_usd(usd, price, instrument, overshoot)
    if isinstance(said, Refusal):
        return
    assert said % step == 0
    assert min_quantity <= said <= instrument.max_market_quantity
    assert said * price >= min_notional
    assert said * price <= usd * (100 + overshoot) / 100
    raised = said * price > usd
    fewer = said - step
    assert not raised or fewer < min_quantity or fewer * price < min_notional


def test_a_minimum_that_costs_just_the_overshoot_is_granted() -> None:
    assert size_usd(D(100), D(60_000), BTC, D(20)) == D("0.002")


def test_as_much_as_one_market_order_carries_is_granted() -> None:
    assert size_usd(D(6_000_000), D(60_000), BTC, D(10)) == D(100)


def test_a_refusal_tells_everything_that_decided_it() -> None:
    below = size_usd(D(109), D(60_000), BTC, D(10))
    assert below == Refusal(
        code="below_minimum",
        figures={
            "usd": D(109),
            "price": D(60_000),
            "quantity": D("0.001"),
            "step": D("0.001"),
            "min_quantity": D("0.001"),
            "min_notional": D(100),
            "needed_usd": D(120),
            "allowed_usd": D("119.9"),
        },
    )
    above = size_usd(D(6_000_060), D(60_000), BTC, D(10))
    figures = {"usd": D(6_000_060), "price": D(60_000), "quantity": D("100.001"), "step": D("0.001")}
    assert above == Refusal(code="above_maximum", figures={**figures, "max_quantity": D(100)})


def test_the_context_that_ccxt_leaves_behind_changes_no_size() -> None:
    with localcontext(Context(prec=3)):
        assert size_usd(D("4321.98"), D("60000.1"), BTC, D(10)) == D("0.072")
        assert size_usd(D("1234.5678"), D(1), replace(BTC, max_market_quantity=D(5_000)), D(10)) == D("1234.567")
