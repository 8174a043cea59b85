"""Stops that stand on the position and orders amended in place: lives without a fault, and seeded bugs."""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.oracle.tiny_bybit import TinyBybit
from tests.unit.oracle.tiny_exchange import client_id

BybitStory = Callable[[TinyBybit], None]


def opened(x: TinyBybit, trigger: str = "98") -> int:
    """A long position of 1 whose stop came with its first fill; returns the stop."""
    x.entry(stop_loss=trigger)
    return latest(x)


def latest(x: TinyBybit) -> int:
    """The conditional that the exchange told of last."""
    return int(next(line["algoId"] for line in reversed(x.lines) if line["kind"] == "algo"))


# Lives without a fault.


def attached_from_the_first_fill_and_trailed(x: TinyBybit) -> None:
    stop = opened(x)
    x.mark("103")
    x.set_stop("101", stop)
    x.wait(1000)
    x.mark("105")
    x.set_stop("103", stop)
    x.fire(stop, "103")


def attached_needs_no_growing(x: TinyBybit) -> None:
    order = x.entry("2", filled="1", stop_loss="98")
    x.wait(500)
    x.fill(order, "1")


def set_after_the_entry(x: TinyBybit) -> None:
    x.entry()
    x.wait(40)
    x.set_stop("98")


def short_attached(x: TinyBybit) -> None:
    x.entry(side="SELL", stop_loss="102")
    x.exit(side="BUY")
    x.gone_with_the_position(latest(x))


def closed_by_exit_and_gone_with_it(x: TinyBybit) -> None:
    stop = opened(x)
    x.exit()
    x.gone_with_the_position(stop)


def order_amended_in_place(x: TinyBybit) -> None:
    x.entry()
    stop = x.stop_order("98")
    x.mark("103")
    x.amend(stop, triggerPrice="101")
    x.fire(stop, "101")


def amended_to_the_new_size(x: TinyBybit) -> None:
    order = x.entry("2", filled="1")
    stop = x.stop_order("98", "1")
    x.fill(order, "1")
    x.wait(60)
    x.amend(stop, quantity="2")


def attached_replaces_an_order(x: TinyBybit) -> None:
    x.entry()
    order = x.stop_order("98")
    x.set_stop("98.5")
    x.wait(30)
    request = x.ask("POST", "/v5/order/cancel", orderLinkId=client_id("s", 2))
    x.change(order, "CANCELED", request=request)
    x.answer(request)


def a_human_takes_it_away_and_it_is_put_right(x: TinyBybit) -> None:
    stop = opened(x)
    x.human_sets(stop, "0")
    x.wait(2000)
    x.set_stop("98")


def a_human_loosens_it_and_it_is_put_right(x: TinyBybit) -> None:
    stop = opened(x)
    x.human_sets(stop, "95")
    x.wait(2000)
    x.set_stop("98", stop)


def a_human_moves_what_we_had_moved(x: TinyBybit) -> None:
    stop = opened(x)
    x.mark("104")
    x.set_stop("101", stop)
    x.human_sets(stop, "99")
    x.wait(1000)
    x.set_stop("101", stop)


def the_better_price_would_trigger(x: TinyBybit) -> None:
    stop = opened(x)
    x.change(stop, "CANCELED")
    x.answer(x.ask("POST", "/v5/position/trading-stop", stopLoss="99", positionIdx="0"), 110093)
    x.set_stop("97")


def same_value_again(x: TinyBybit) -> None:
    opened(x)
    x.answer(x.ask("POST", "/v5/position/trading-stop", stopLoss="98", positionIdx="0"), 34040)


def adopted_by_a_trading_stop(x: TinyBybit) -> None:
    x.market("web_1", "BUY", "1", origin="human")
    x.wait(3000)
    stop = x.set_stop("98")
    x.wait(1000)
    x.exit(position=5)
    x.gone_with_the_position(stop)


def ladder_of_orders(x: TinyBybit) -> None:
    opened(x)
    profit = x.stop_order("104", "0.5", kind="t", sequence=5)
    x.entry(side="SELL", position=2, position_side="SHORT", stop_loss="102")
    short = x.stop_order("96", "0.5", "BUY", kind="t", sequence=5, position=2, position_side="SHORT")
    x.wait(1000)
    for algo, cid in ((profit, client_id("t", 5)), (short, client_id("t", 5, 2))):
        request = x.ask("POST", "/v5/order/cancel", orderLinkId=cid)
        x.change(algo, "CANCELED", request=request)
        x.answer(request)


def a_new_owner_writes_on(x: TinyBybit) -> None:
    stop = opened(x)
    x.mark("104")
    x.set_stop("101", stop, intent=client_id("s", 3, epoch=(1, 2)))
    x.wait(5000)
    x.set_stop("101.5", stop, intent=client_id("s", 4, epoch=(2, 1)))


CLEAN = (
    attached_from_the_first_fill_and_trailed,
    attached_needs_no_growing,
    set_after_the_entry,
    short_attached,
    closed_by_exit_and_gone_with_it,
    order_amended_in_place,
    amended_to_the_new_size,
    attached_replaces_an_order,
    a_human_takes_it_away_and_it_is_put_right,
    a_human_loosens_it_and_it_is_put_right,
    a_human_moves_what_we_had_moved,
    the_better_price_would_trigger,
    same_value_again,
    adopted_by_a_trading_stop,
    ladder_of_orders,
    a_new_owner_writes_on,
)


# Bugs.


def s1_attached_cleared_while_open(x: TinyBybit) -> None:
    x.set_stop("0", opened(x))


def s1_attached_set_on_the_other_symbol_side(x: TinyBybit) -> None:
    x.entry(position_side="LONG")
    x.entry(side="SELL", position_side="SHORT", position=2, stop_loss="102")
    stop = latest(x)
    x.set_stop("101.5", stop, "SHORT")  # meant for the long one, which stays bare


def s1_cleared_by_a_human_left_so(x: TinyBybit) -> None:
    x.human_sets(opened(x), "0")


def s3_attached_loosened(x: TinyBybit) -> None:
    x.set_stop("97", opened(x))


def s3_attached_loosened_after_a_trail(x: TinyBybit) -> None:
    stop = opened(x)
    x.mark("104")
    x.set_stop("102", stop)
    x.wait(60_000)
    x.set_stop("98", stop)


def s3_short_attached_loosened(x: TinyBybit) -> None:
    x.entry(side="SELL", stop_loss="102")
    x.set_stop("103", latest(x))


def s3_amended_looser(x: TinyBybit) -> None:
    x.entry()
    x.amend(x.stop_order("98"), triggerPrice="97.5")


def s3_looser_than_what_a_human_set(x: TinyBybit) -> None:
    stop = opened(x)
    x.human_sets(stop, "99")
    x.wait(8000)
    x.set_stop("98.5", stop)


def s4_attached_cleared_then_set(x: TinyBybit) -> None:
    stop = opened(x)
    x.set_stop("0", stop)
    x.set_stop("98.5")


def s4_amended_to_the_wrong_side(x: TinyBybit) -> None:
    x.entry()
    x.amend(x.stop_order("98"), triggerPrice="101")


def s4_amended_too_small(x: TinyBybit) -> None:
    x.entry("2")
    x.amend(x.stop_order("98", "2"), quantity="1")


def s4_order_cancelled_for_an_attached_one_that_was_refused(x: TinyBybit) -> None:
    x.entry()
    stop = x.stop_order("98")
    x.answer(x.ask("POST", "/v5/position/trading-stop", stopLoss="98.5", positionIdx="0"), 10001)
    request = x.ask("POST", "/v5/order/cancel", orderLinkId=client_id("s", 2))
    x.change(stop, "CANCELED", request=request)
    x.answer(request)
    x.set_stop("98.5")


def s5_attached_beside_an_order(x: TinyBybit) -> None:
    opened(x)
    x.stop_order("98.2")


def s5_two_orders_beside_an_attached_one(x: TinyBybit) -> None:
    opened(x)
    x.stop_order("98.2")
    x.stop_order("98.3", sequence=3)


def s6_attached_outlives_its_position(x: TinyBybit) -> None:
    opened(x)
    x.exit()


def s6_attached_works_on_a_later_position(x: TinyBybit) -> None:
    old = opened(x)
    x.exit()
    x.wait(1000)
    x.entry(position=2)
    x.fire(old, "98")


def s6_attached_works_on_a_strangers_later_position(x: TinyBybit) -> None:
    old = opened(x)
    x.exit()
    x.wait(1000)
    x.market("web_1", "BUY", "1", origin="human")
    x.fire(old, "98")


def s7_two_attached_of_a_kind(x: TinyBybit) -> None:
    opened(x)
    x.set_stop("98.5")


def s8_epoch_backwards_by_an_amendment(x: TinyBybit) -> None:
    x.entry()
    stop = x.stop_order("98")
    x.mark("103")
    x.amend(stop, triggerPrice="99", intent=client_id("s", 3, epoch=(2, 1)))
    x.wait(5000)
    x.amend(stop, triggerPrice="99.5", intent=client_id("s", 4, epoch=(1, 1)))


def s8_epoch_backwards_by_a_trading_stop(x: TinyBybit) -> None:
    stop = opened(x)
    x.mark("103")
    x.set_stop("99", stop, intent=client_id("s", 3, epoch=(1, 2)))
    x.wait(5000)
    x.set_stop("99.5", stop, intent=client_id("s", 4, epoch=(1, 1)))


def s9_strangers_attached_stop_moved(x: TinyBybit) -> None:
    x.market("web_1", "BUY", "1", origin="human")
    stop = x.attach("95", "BOTH", None)
    x.wait(3000)
    x.set_stop("98", stop)


def s9_strangers_attached_stop_cleared(x: TinyBybit) -> None:
    x.market("web_1", "BUY", "1", origin="human")
    x.set_stop("0", x.attach("95", "BOTH", None))


def s9_position_mode_switched(x: TinyBybit) -> None:
    x.answer(x.ask("POST", "/v5/position/switch-mode", mode="3"))


def s9_cancel_all_takes_a_strangers(x: TinyBybit) -> None:
    opened(x)
    stranger = x.stop("90", name="web_stop")
    request = x.ask("POST", "/v5/order/cancel-all")
    x.change(stranger, "CANCELED", request=request)
    x.answer(request)


def s13_attached_on_the_wrong_side(x: TinyBybit) -> None:
    request = x.ask("POST", "/v5/order/create", side="Buy", qty="1", orderLinkId=client_id("e", 1), stopLoss="101")
    x.answer(request, 10001)


def s13_trading_stop_off_tick(x: TinyBybit) -> None:
    x.set_stop("98.55", opened(x))


def s13_amended_past_the_mark(x: TinyBybit) -> None:
    x.entry()
    stop = x.stop_order("98")
    name = x.row(stop)["clientAlgoId"]
    x.answer(x.ask("POST", "/v5/order/amend", orderLinkId=name, triggerPrice="101"), 110092)


def s13_amended_past_the_mark_by_the_venues_id(x: TinyBybit) -> None:
    x.entry()
    named = f"c0de0000-0000-4000-8000-{x.stop_order('98'):012x}"
    x.answer(x.ask("POST", "/v5/order/amend", orderId=named, triggerPrice="101"), 110092)


def s15_ip_flood(x: TinyBybit) -> None:
    for _ in range(310):
        x.write("request", id=0, method="GET", path="/v5/market/time", params={})


BUGS = (
    s1_attached_cleared_while_open,
    s1_attached_set_on_the_other_symbol_side,
    s1_cleared_by_a_human_left_so,
    s3_attached_loosened,
    s3_attached_loosened_after_a_trail,
    s3_short_attached_loosened,
    s3_amended_looser,
    s3_looser_than_what_a_human_set,
    s4_attached_cleared_then_set,
    s4_amended_to_the_wrong_side,
    s4_amended_too_small,
    s4_order_cancelled_for_an_attached_one_that_was_refused,
    s5_attached_beside_an_order,
    s5_two_orders_beside_an_attached_one,
    s6_attached_outlives_its_position,
    s6_attached_works_on_a_later_position,
    s6_attached_works_on_a_strangers_later_position,
    s7_two_attached_of_a_kind,
    s8_epoch_backwards_by_an_amendment,
    s8_epoch_backwards_by_a_trading_stop,
    s9_strangers_attached_stop_moved,
    s9_strangers_attached_stop_cleared,
    s9_position_mode_switched,
    s9_cancel_all_takes_a_strangers,
    s13_attached_on_the_wrong_side,
    s13_trading_stop_off_tick,
    s13_amended_past_the_mark,
    s13_amended_past_the_mark_by_the_venues_id,
    s15_ip_flood,
)
