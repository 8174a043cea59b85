"""Seeded bugs in how a position is protected; a story's name begins with the law that it breaks."""

from __future__ import annotations

from tests.unit.oracle.clean_lives import moved, opened
from tests.unit.oracle.tiny_exchange import TinyExchange, client_id


def s1_stop_never_sent(x: TinyExchange) -> None:
    x.entry()


def s1_stop_dropped(x: TinyExchange) -> None:
    x.cancel(opened(x))


def s1_stop_too_small(x: TinyExchange) -> None:
    x.entry("2")
    x.stop("98", "1")


def s1_stop_late(x: TinyExchange) -> None:
    x.entry()
    x.wait(3500)
    x.stop("98")


def s1_stop_on_the_wrong_side_covers_nothing(x: TinyExchange) -> None:
    x.entry()
    x.stop("102", side="BUY")


def s1_take_profit_is_no_cover(x: TinyExchange) -> None:
    x.entry()
    x.stop("102", name=client_id("t", 2), sort="TAKE_PROFIT_MARKET")


def s1_growth_is_not_covered(x: TinyExchange) -> None:
    order = x.entry("2", filled="1")
    x.stop("98", "1")
    x.wait(1000)
    x.fill(order, "1")


def s1_stop_stuck_in_triggering(x: TinyExchange) -> None:
    stop = opened(x)
    x.mark("98", more=True)
    x.change(stop, "TRIGGERING")


def s1_stop_cancelled_by_hand_left_so(x: TinyExchange) -> None:
    x.change(opened(x), "CANCELED")


def s1_partial_trigger_leaves_a_rest(x: TinyExchange) -> None:
    stop = opened(x)
    x.fire(stop, "98", filled="0.4")


def s1_retries_use_up_the_grace(x: TinyExchange) -> None:
    x.entry()
    x.refuse_stop()
    x.wait(6000)
    x.stop("97")


def s1_our_own_bad_orders_are_no_excuse(x: TinyExchange) -> None:
    x.entry()
    for _ in range(8):
        x.refuse_stop(code=-1111)
        x.wait(500)
    x.stop("97")


def s2_exit_larger_than_position(x: TinyExchange) -> None:
    opened(x)
    x.market(client_id("x", 3), "SELL", "2")


def s2_exit_on_the_wrong_side(x: TinyExchange) -> None:
    opened(x)
    x.exit(side="BUY")


def s2_stop_not_reduce_only(x: TinyExchange) -> None:
    x.entry()
    x.stop("98", reduce_only=False)


def s2_stop_bigger_flips(x: TinyExchange) -> None:
    x.entry()
    stop = x.stop("98", "3")
    x.fire(stop, "98")


def s2_orphan_stop_opens_a_position(x: TinyExchange) -> None:
    stop = opened(x)
    x.exit()
    x.fire(stop, "98")


def s3_loosened(x: TinyExchange) -> None:
    moved(x, opened(x), "97", 3)


def s3_short_loosened(x: TinyExchange) -> None:
    x.entry(side="SELL")
    first = x.stop("102", side="BUY")
    x.stop("103", side="BUY", sequence=3)
    x.cancel(first)


def s3_trail_forgotten_over_a_restart(x: TinyExchange) -> None:
    stop = opened(x)
    x.mark("104")
    stop = moved(x, stop, "103", 3)
    x.wait(60_000)
    x.stop("98", sequence=4, epoch=(2, 1))
    x.cancel(stop)


def s3_put_right_at_a_worse_price(x: TinyExchange) -> None:
    x.change(opened(x), "CANCELED")
    x.wait(100)
    x.stop("95", sequence=3)


def s4_cancel_before_accept(x: TinyExchange) -> None:
    x.cancel(opened(x))
    x.wait(20)
    x.stop("98.5", sequence=3)


def s4_cancel_and_accept_in_one_millisecond(x: TinyExchange) -> None:
    x.cancel(opened(x))
    x.stop("98.5", sequence=3)


def s4_new_one_smaller(x: TinyExchange) -> None:
    x.entry("2")
    old = x.stop("98", "2")
    x.stop("99", "1", sequence=3)
    x.cancel(old)


def s4_cancelled_before_the_exit(x: TinyExchange) -> None:
    x.cancel(opened(x))
    x.exit()


def s4_cancel_all(x: TinyExchange) -> None:
    stop = opened(x)
    request = x.ask("DELETE", "/fapi/v1/algoOpenOrders")
    x.change(stop, "CANCELED")
    x.answer(request)
    x.stop("98", sequence=3)


def s16_filled_and_forgotten(x: TinyExchange) -> None:
    x.entry()
    x.wait(8000)
    x.stop("98")


def s16_rest_of_an_entry_forgotten(x: TinyExchange) -> None:
    order = x.entry("2", filled="1")
    x.stop("98", "1")
    x.wait(2000)
    x.fill(order, "1")


BUGS = (
    s1_stop_never_sent,
    s1_stop_dropped,
    s1_stop_too_small,
    s1_stop_late,
    s1_stop_on_the_wrong_side_covers_nothing,
    s1_take_profit_is_no_cover,
    s1_growth_is_not_covered,
    s1_stop_stuck_in_triggering,
    s1_stop_cancelled_by_hand_left_so,
    s1_partial_trigger_leaves_a_rest,
    s1_retries_use_up_the_grace,
    s1_our_own_bad_orders_are_no_excuse,
    s2_exit_larger_than_position,
    s2_exit_on_the_wrong_side,
    s2_stop_not_reduce_only,
    s2_stop_bigger_flips,
    s2_orphan_stop_opens_a_position,
    s3_loosened,
    s3_short_loosened,
    s3_trail_forgotten_over_a_restart,
    s3_put_right_at_a_worse_price,
    s4_cancel_before_accept,
    s4_cancel_and_accept_in_one_millisecond,
    s4_new_one_smaller,
    s4_cancelled_before_the_exit,
    s4_cancel_all,
    s16_filled_and_forgotten,
    s16_rest_of_an_entry_forgotten,
)
