"""Rounding can only err on the safe side, whatever the thread's decimal context is (VENUES T16)."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.identity import OrderKind
from domain.instrument import PositionSide, Side, percent_of
from domain.orders import OrderStatus, Priority, resolve_status
from tests.unit.domain.samples import BTC, D, intent

TICKS = st.sampled_from(["0.00000001", "0.0005", "0.1", "0.25", "5"]).map(D)
PRICES = st.decimals("0.00000001", "1e9", places=10)


@given(price=PRICES, tick=TICKS)
def test_rounding_stays_within_a_tick_on_the_named_side(price: Decimal, tick: Decimal) -> None:
    instrument = replace(BTC, tick=tick, step=tick)
    down, up = instrument.round_down(price), instrument.round_up(price)
    assert down <= price <= up
    assert up - down in (0, tick)
    assert price - down < tick
    assert instrument.on_tick(down)
    assert instrument.on_tick(up)
    assert instrument.on_tick(price) is (up == down)
    assert instrument.floor_quantity(price) == down
    assert instrument.ceil_quantity(price) == up
    assert instrument.on_step(price) is (up == down)


@given(price=PRICES)
def test_a_stop_is_rounded_towards_the_mark_and_a_limit_away_from_it(price: Decimal) -> None:
    assert BTC.stop_price(PositionSide.LONG, price) >= price >= BTC.stop_price(PositionSide.SHORT, price)
    assert BTC.stop_price_outward(PositionSide.LONG, price) <= price
    assert BTC.stop_price_outward(PositionSide.SHORT, price) >= price


def test_the_context_that_ccxt_leaves_behind_changes_nothing() -> None:
    with localcontext(Context(prec=4, rounding=ROUND_HALF_UP)):
        assert BTC.round_down(D("61234.56")) == D("61234.5")
        assert BTC.round_up(D("61234.51")) == D("61234.6")
        assert BTC.on_tick(D("61234.5"))
        assert not BTC.on_tick(D("61234.56"))
        assert percent_of(D("61234.5"), D("0.5")) == D("306.1725")


@pytest.mark.parametrize("side", list(PositionSide))
def test_the_two_sides_mirror_each_other(side: PositionSide) -> None:
    good, bad = (D(2), D(1)) if side is PositionSide.LONG else (D(1), D(2))
    assert side.better(good, bad)
    assert not side.better(bad, good)
    assert not side.better(good, good)
    assert side.best(good, bad) == side.best(bad, good) == good
    assert side.worst(good, bad) == side.worst(bad, good) == bad
    assert side.opening.sign == side.sign == -side.closing.sign
    assert {side.opening, side.closing} == set(Side)


@pytest.mark.parametrize(
    ("raw", "filled", "resolved"),
    [
        (OrderStatus.UNKNOWN, "0", OrderStatus.UNKNOWN),
        (OrderStatus.UNKNOWN, "0.1", OrderStatus.PART_FILLED),
        (OrderStatus.NEW, "0.998", OrderStatus.PART_FILLED),
        (OrderStatus.NEW, "0.999", OrderStatus.FILLED),
        (OrderStatus.ACK, "1", OrderStatus.FILLED),
        (OrderStatus.EXPIRED, "0.5", OrderStatus.EXPIRED),
        (OrderStatus.CANCELED, "0.5", OrderStatus.CANCELED),
        (OrderStatus.REJECTED, "0", OrderStatus.REJECTED),
    ],
)
def test_an_executed_quantity_is_never_unknown(raw: OrderStatus, filled: str, resolved: OrderStatus) -> None:
    assert resolve_status(raw, D(1), D(filled)) is resolved


def test_nothing_is_concluded_about_an_order_of_unknown_size() -> None:
    assert resolve_status(OrderStatus.ACK, D(0), D("0.5")) is OrderStatus.ACK


@pytest.mark.parametrize("status", list(OrderStatus))
def test_only_four_states_are_the_end_of_an_order(status: OrderStatus) -> None:
    over = {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED}
    assert status.terminal is (status in over)


@pytest.mark.parametrize(
    ("kind", "priority"),
    [
        (OrderKind.STOP, Priority.PROTECTION),
        (OrderKind.TAKE_PROFIT, Priority.CLOSING),
        (OrderKind.EXIT, Priority.CLOSING),
        (OrderKind.ENTRY, Priority.ENTRY),
    ],
)
def test_protection_goes_before_closing_before_entry(kind: OrderKind, priority: Priority) -> None:
    assert intent(kind).priority is priority
