"""Hedge mode: a long and a short position of one symbol, each with its own orders, none touching the other."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.paper_exchange.contracts import listed_contracts
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.margin import liquidation_price
from adapters.paper_exchange.market import SyntheticMarket
from adapters.paper_exchange.options import parse_options
from adapters.paper_exchange.orders import Order, OrderStatus, Origin, PositionSide
from adapters.paper_exchange.refusals import Reason, Refused
from tests.unit.paper_exchange.desk import fills, orders
from tests.unit.paper_exchange.hedger import Hedger


@pytest.fixture
def desk() -> Hedger:
    """Long 0.020 and short 0.010 BTC."""
    desk = Hedger(hedge=True)
    desk.trade("BUY", "0.020", "LONG")
    desk.trade("SELL", "0.010", "SHORT")
    return desk


def refusal(act: Callable[[], object]) -> Reason:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value.reason


def test_the_two_sides_stand_beside_each_other(desk: Hedger) -> None:
    assert (desk.held("LONG"), desk.held("SHORT")) == (Decimal("0.020"), Decimal("-0.010"))
    assert desk.held() == 0


def test_what_goes_against_a_side_only_closes_it(desk: Hedger) -> None:
    states = orders(desk.trade("SELL", "0.050", "LONG"))
    assert states[0].reduce_only
    assert states[-1].executed_qty == Decimal("0.020")
    assert desk.held("LONG") == 0
    assert desk.held("SHORT") == Decimal("-0.010")


def test_what_is_left_of_a_closing_order_expires(desk: Hedger) -> None:
    states = orders(desk.trade("BUY", "0.015", "SHORT"))
    assert [state.status for state in states][-1] is OrderStatus.EXPIRED
    assert states[-1].executed_qty == Decimal("0.010")
    assert desk.held("SHORT") == 0
    assert desk.held("LONG") == Decimal("0.020")


def test_nothing_is_closed_on_a_flat_side() -> None:
    desk = Hedger(hedge=True)
    desk.trade("BUY", "0.010", "LONG")
    assert refusal(lambda: desk.trade("BUY", "0.010", "SHORT")) is Reason.REDUCE_ONLY
    assert desk.held("SHORT") == 0


@pytest.mark.parametrize(("hedge", "position_side"), [(True, "BOTH"), (False, "LONG"), (False, "SHORT")])
def test_an_order_names_a_side_of_its_mode(hedge: bool, position_side: str) -> None:
    desk = Hedger(hedge=hedge)
    assert refusal(lambda: desk.trade("BUY", "0.010", position_side)) is Reason.POSITION_SIDE
    assert refusal(lambda: desk.rest("SELL", "59000.0", "0.010", position_side)) is Reason.POSITION_SIDE
    assert refusal(lambda: desk.protect("59000.0", None, position_side)) is Reason.POSITION_SIDE


def test_a_stop_of_one_side_leaves_the_other_alone(desk: Hedger) -> None:
    desk.rest("SELL", "59000.0", "0.020", "LONG")
    short_stop = desk.rest("BUY", "61000.0", "0.010", "SHORT")
    events = desk.price("58900.0")
    assert {fill.position_side for fill in fills(events)} == {PositionSide.LONG}
    assert desk.held("LONG") == 0
    assert desk.held("SHORT") == Decimal("-0.010")
    assert short_stop.algo_id in desk.book.open_algos


def test_a_conditional_against_its_side_is_reduce_only_unasked() -> None:
    desk = Hedger(hedge=True)
    desk.trade("BUY", "0.010", "LONG")
    assert desk.rest("SELL", "59000.0", "0.050", "LONG", reduce=False).reduce_only
    assert not desk.rest("BUY", "61000.0", "0.050", "LONG", reduce=False).reduce_only
    desk.price("58900.0")
    assert desk.held("LONG") == desk.held("SHORT") == 0


def test_the_mode_is_not_switched_under_positions_or_orders(desk: Hedger) -> None:
    engine = desk.engine
    assert refusal(lambda: engine.set_position_mode(hedge=True)) is Reason.MODE_UNCHANGED
    assert refusal(lambda: engine.set_position_mode(hedge=False)) is Reason.MODE_WITH_POSITIONS
    desk.trade("SELL", "0.020", "LONG")
    desk.rest("BUY", "61000.0", "0.010", "SHORT")
    desk.trade("BUY", "0.010", "SHORT")
    assert refusal(lambda: engine.set_position_mode(hedge=False)) is Reason.MODE_WITH_ORDERS
    desk.took(engine.cancel_conditional(desk.now, next(iter(desk.book.open_algos))))
    desk.took(engine.set_position_mode(hedge=False))
    desk.trade("BUY", "0.010")
    assert desk.held() == Decimal("0.010")


def test_one_symbol_may_be_in_a_mode_of_its_own() -> None:
    desk = Hedger()
    desk.took(desk.engine.set_position_mode(hedge=True, symbol="ETHUSDT"))
    assert desk.book.hedged("ETHUSDT")
    assert not desk.book.hedged("BTCUSDT")
    assert refusal(lambda: desk.engine.set_position_mode(hedge=True, symbol="ETHUSDT")) is Reason.MODE_UNCHANGED
    desk.took(desk.engine.set_position_mode(hedge=False))
    assert not desk.book.hedged("ETHUSDT")


def test_both_sides_share_the_level_at_which_they_are_liquidated() -> None:
    desk = Hedger(hedge=True)
    desk.trade("BUY", "1.000", "LONG")
    alone = liquidation_price(desk.book, desk.engine.contracts, desk.book.position("BTCUSDT", PositionSide.LONG))
    desk.trade("SELL", "0.500", "SHORT")
    levels = [
        liquidation_price(desk.book, desk.engine.contracts, desk.book.position("BTCUSDT", side))
        for side in (PositionSide.LONG, PositionSide.SHORT)
    ]
    assert levels[0] == levels[1]
    assert 0 < levels[0] < alone, "the short side does not hold the long one up"
    desk.price(f"{levels[0] + 10}")
    assert desk.held("LONG") == Decimal("1.000")
    events = desk.price(f"{levels[0] - 10}")
    assert any(isinstance(event, Order) and event.origin is Origin.LIQUIDATION for event in events)


def test_deleveraging_takes_a_part_of_one_side(desk: Hedger) -> None:
    events = desk.took(desk.engine.deleverage(desk.now, "BTCUSDT", Decimal("0.005"), PositionSide.LONG))
    assert [order.origin for order in orders(events)][-1] is Origin.DELEVERAGE
    assert (desk.held("LONG"), desk.held("SHORT")) == (Decimal("0.015"), Decimal("-0.010"))


def test_liquidation_on_demand_takes_the_side_and_its_conditionals(desk: Hedger) -> None:
    of_long = desk.rest("SELL", "59000.0", "0.020", "LONG")
    of_short = desk.rest("BUY", "61000.0", "0.010", "SHORT")
    desk.took(desk.engine.liquidate(desk.now, "BTCUSDT", PositionSide.LONG))
    assert desk.held("LONG") == 0
    assert desk.held("SHORT") == Decimal("-0.010")
    assert list(desk.book.open_algos) == [of_short.algo_id]
    assert of_long.algo_id not in desk.book.open_algos


def test_the_mode_of_a_new_account_is_an_option(tmp_path: Path) -> None:
    def opened(*options: str) -> PaperExchange:
        rules = parse_options([*options]).rules()
        feeds = {"BTCUSDT": SyntheticMarket(contract=listed_contracts()["BTCUSDT"], seed=1, volatility=Decimal(0))}
        exchange = PaperExchange(tmp_path, feeds, rules, lambda: 1_800_000_000_000)
        exchange.open(1, Decimal(10_000), history_minutes=1)
        return exchange

    exchange = opened("--hedge-mode")
    assert exchange.book.hedged()
    exchange.run(lambda _now: exchange.engine.set_position_mode(hedge=False))
    exchange.close(1)
    # What the account has been switched to since then stands.
    exchange = opened("--hedge-mode")
    assert not exchange.book.hedged()
    exchange.close(1)


def test_the_caps_are_those_of_the_venue() -> None:
    binance, bybit = (parse_options(["--dialect", dialect]).rules() for dialect in ("binanceusdm", "bybit"))
    assert (binance.conditionals_per_account, binance.one_close_position) == (200, True)
    assert bybit.conditionals_per_account > 10_000
    assert not bybit.one_close_position
