"""Hedge mode, take-profits and close-position stops: lives without a fault, and seeded bugs."""

from __future__ import annotations

from tests.unit.oracle.clean_lives import opened
from tests.unit.oracle.tiny_exchange import TinyExchange, client_id

TARGET = "TAKE_PROFIT_MARKET"


def both_sides(x: TinyExchange, long: str = "2", short: str = "1") -> tuple[int, int]:
    """A long of position 1 and a short of position 2 on one symbol, each with its stop."""
    x.entry(long, position_side="LONG")
    first = x.stop("98", long, position_side="LONG", reduce_only=False)
    x.entry(short, side="SELL", position=2, position_side="SHORT")
    second = x.stop("102", short, side="BUY", position=2, position_side="SHORT", reduce_only=False)
    return first, second


def target(
    x: TinyExchange, trigger: str = "104", quantity: str = "0.5", *, sequence: int = 5, side: str = "SELL",
    position: int = 1, reduce_only: bool = True, position_side: str = "BOTH",
) -> int:  # fmt: skip
    """A take-profit of ours."""
    return x.stop(
        trigger, quantity, side, name=client_id("t", sequence, position), sort=TARGET, reduce_only=reduce_only,
        position_side=position_side,
    )  # fmt: skip


# Lives without a fault.


def two_owners_on_one_symbol(x: TinyExchange) -> None:
    first, second = both_sides(x)
    x.mark("101")
    moved = x.stop("99", "2", sequence=3, position_side="LONG", reduce_only=False)
    x.cancel(first)
    x.fire(moved, "99")
    x.wait(3000)
    x.exit(side="BUY", position=2, position_side="SHORT")
    x.cancel(second)


def hedge_one_side_closes_the_other_stays(x: TinyExchange) -> None:
    _, second = both_sides(x)
    x.fire(second, "102")


def hedge_close_position_stop(x: TinyExchange) -> None:
    x.entry("2", position_side="LONG")
    x.stop("98", position_side="LONG", close_position=True, reduce_only=False)
    x.entry(side="SELL", position=2, position_side="SHORT")
    x.stop("102", side="BUY", position=2, position_side="SHORT", close_position=True, reduce_only=False)


def hedge_a_strangers_other_side(x: TinyExchange) -> None:
    x.entry(position_side="LONG")
    x.stop("98", position_side="LONG", reduce_only=False)
    x.market("web_1", "SELL", "3", origin="human", position_side="SHORT")
    x.wait(20_000)


def ladder_is_worked_off(x: TinyExchange) -> None:
    x.entry("2")
    stop = x.stop("98", "2")
    first, second = target(x, "104", "1"), target(x, "106", "1", sequence=6)
    x.fire(first, "104")
    x.wait(50)
    smaller = x.stop("98", "1", sequence=3)
    x.cancel(stop)
    x.wait(2000)
    x.fire(second, "106")
    x.cancel(smaller)


def targets_go_when_the_stop_has_fired(x: TinyExchange) -> None:
    stop = opened(x)
    first, second = target(x), target(x, "106", sequence=6)
    x.fire(stop, "98")
    x.wait(100)
    x.cancel(first)
    x.cancel(second)


def close_position_stop_grows_by_itself(x: TinyExchange) -> None:
    order = x.entry("2", filled="1")
    first = x.stop("98", close_position=True)
    x.fill(order, "1")
    x.wait(500)
    x.mark("103")
    x.stop("101", "2", sequence=3)
    x.cancel(first)


def first_stop_in_doubt_is_joined_by_one(x: TinyExchange) -> None:
    x.entry()
    x.ask("POST", "/fapi/v1/algoOrder", side="SELL", triggerPrice="98", quantity="1", clientAlgoId=client_id("s", 2))
    x.wait(1200)
    x.stop("98", sequence=3)


def refused_stops_are_tried_again(x: TinyExchange) -> None:
    x.entry()
    for sequence in (2, 3):
        request = x.ask(
            "POST", "/fapi/v1/algoOrder", side="SELL", triggerPrice="98", quantity="1",
            clientAlgoId=client_id("s", sequence),
        )  # fmt: skip
        x.answer(request, -1001 if sequence == 2 else -4045)
        x.wait(300)
    x.stop("98", sequence=4)


def half_is_closed_and_the_stop_resized(x: TinyExchange) -> None:
    x.entry("2")
    stop = x.stop("98", "2")
    x.exit("1")
    x.wait(100)
    x.stop("98", "1", sequence=3)
    x.cancel(stop)


def exit_filled_in_part_is_finished_by_another(x: TinyExchange) -> None:
    stop = opened(x)
    order = x.exit(filled="0.4")
    x.end(order)
    x.wait(300)
    x.exit("0.6", sequence=9)
    x.cancel(stop)


CLEAN = (
    two_owners_on_one_symbol,
    hedge_one_side_closes_the_other_stays,
    hedge_close_position_stop,
    hedge_a_strangers_other_side,
    ladder_is_worked_off,
    targets_go_when_the_stop_has_fired,
    close_position_stop_grows_by_itself,
    first_stop_in_doubt_is_joined_by_one,
    refused_stops_are_tried_again,
    half_is_closed_and_the_stop_resized,
    exit_filled_in_part_is_finished_by_another,
)


# Bugs.


def s1_both_sides_netted(x: TinyExchange) -> None:
    x.entry("2", position_side="LONG")
    x.entry(side="SELL", position=2, position_side="SHORT")
    x.stop("98", "1", position_side="LONG", reduce_only=False)  # two less one


def s1_one_stop_for_both_sides(x: TinyExchange) -> None:
    x.entry(position_side="LONG")
    x.entry(side="SELL", position=2, position_side="SHORT")
    x.stop("98", position_side="LONG", close_position=True, reduce_only=False)


def s1_targets_are_no_cover(x: TinyExchange) -> None:
    x.entry("2")
    x.stop("98", "1")
    target(x, "104", "1")


def s2_stop_on_the_wrong_position_side(x: TinyExchange) -> None:
    x.entry(position_side="LONG")
    x.stop("98", position_side="SHORT", reduce_only=False)  # sells a short: it would open one


def s2_target_adds_risk(x: TinyExchange) -> None:
    opened(x)
    target(x, reduce_only=False)


def s2_target_on_the_side_that_adds(x: TinyExchange) -> None:
    opened(x)
    target(x, "96", side="BUY")


def s4_hedge_stop_cancelled_for_one_on_the_other_side(x: TinyExchange) -> None:
    first, _ = both_sides(x, "1", "1")
    x.stop("98.5", sequence=3, position_side="BOTH")
    x.cancel(first)


def s4_close_position_stop_taken_for_a_bare_quantity(x: TinyExchange) -> None:
    order = x.entry("2", filled="1")
    first = x.stop("98", close_position=True)
    x.fill(order, "1")
    x.wait(500)
    x.stop("98", "1", sequence=3)  # the quantity it held when it was sent
    x.cancel(first)


def s5_close_position_stop_beside_another(x: TinyExchange) -> None:
    x.entry()
    x.stop("98", close_position=True)
    x.stop("98", sequence=3)


def s6_wrong_index_works_on_the_other_position(x: TinyExchange) -> None:
    x.entry(position_side="LONG")
    x.stop("98", position_side="LONG", reduce_only=False)
    x.entry(side="SELL", position=2, position_side="SHORT")
    x.stop("102", side="BUY", position=2, position_side="SHORT", reduce_only=False)
    x.stop("101", side="BUY", sequence=3, position_side="SHORT", reduce_only=False)  # position 1 is the long one


def s6_target_outlives_its_position(x: TinyExchange) -> None:
    stop = opened(x)
    target(x)
    x.fire(stop, "98")


def s6_target_works_on_a_later_position(x: TinyExchange) -> None:
    stop = opened(x)
    old = target(x, quantity="1")
    x.fire(stop, "98")
    x.wait(1000)
    x.mark("100")
    x.entry(position=2)
    x.stop("97", position=2)
    x.fire(old, "104")


def s6_hedge_orphan_beside_a_living_side(x: TinyExchange) -> None:
    both_sides(x)
    x.exit("2", position_side="LONG")


def s7_target_sent_twice(x: TinyExchange) -> None:
    opened(x)
    target(x)
    target(x)


def s8_hedge_second_owner_of_one_side(x: TinyExchange) -> None:
    x.entry(position_side="LONG")
    x.stop("98", position_side="LONG", reduce_only=False)
    x.entry(position=2, position_side="LONG")


def s9_hedge_strangers_side_closed(x: TinyExchange) -> None:
    x.entry(position_side="LONG")
    x.stop("98", position_side="LONG", reduce_only=False)
    x.market("web_1", "SELL", "1", origin="human", position_side="SHORT")
    x.exit(side="BUY", position_side="SHORT")


def s12_entry_in_doubt_sent_again(x: TinyExchange) -> None:
    params = {"side": "BUY", "quantity": "1"}
    x.answer(x.ask("POST", "/fapi/v1/order", **params, newClientOrderId=client_id("e", 1)), -1007)
    x.wait(500)
    x.answer(x.ask("POST", "/fapi/v1/order", **params, newClientOrderId=client_id("e", 2)), -2019)


def s12_entry_without_an_answer_sent_again(x: TinyExchange) -> None:
    x.ask("POST", "/fapi/v1/order", side="BUY", quantity="1", newClientOrderId=client_id("e", 1))
    x.wait(4000)
    x.entry(sequence=2)
    x.stop("98", sequence=3)


def s12_third_stop_beside_one_in_doubt(x: TinyExchange) -> None:
    x.entry()
    x.ask("POST", "/fapi/v1/algoOrder", side="SELL", triggerPrice="98", quantity="1", clientAlgoId=client_id("s", 2))
    x.wait(300)
    second = x.stop("98", sequence=3)
    x.wait(300)
    x.stop("98.5", sequence=4)
    x.cancel(second)


def s13_target_on_the_wrong_side_of_the_mark(x: TinyExchange) -> None:
    opened(x)
    request = x.ask(
        "POST", "/fapi/v1/algoOrder", side="SELL", type=TARGET, quantity="1", triggerPrice="99",
        clientAlgoId=client_id("t", 5),
    )  # fmt: skip
    x.answer(request, -2021)


def s14_two_exits_for_the_whole(x: TinyExchange) -> None:
    opened(x)
    first = x.accept(client_id("x", 8), "SELL", "1", reduce_only=True)
    second = x.accept(client_id("x", 9), "SELL", "1", reduce_only=True)
    x.fill(first, "1")
    x.end(second)


def s14_exit_leaves_a_rest(x: TinyExchange) -> None:
    stop = opened(x)
    x.end(x.exit(filled="0.4"))
    x.wait(20_000)
    x.stop("98", "0.6", sequence=3)
    x.cancel(stop)


def l1_stop_stays_too_big(x: TinyExchange) -> None:
    x.entry("2")
    x.stop("98", "2")
    x.exit("1")


def l1_target_filled_and_the_stop_not_resized(x: TinyExchange) -> None:
    opened(x)
    x.fire(target(x), "104")


def log_long_position_below_zero(x: TinyExchange) -> None:
    x.market("web_1", "BUY", "1", origin="human", position_side="LONG")
    x.market("web_2", "SELL", "3", origin="human", position_side="LONG")


BUGS = (
    s1_both_sides_netted,
    s1_one_stop_for_both_sides,
    s1_targets_are_no_cover,
    s2_stop_on_the_wrong_position_side,
    s2_target_adds_risk,
    s2_target_on_the_side_that_adds,
    s4_hedge_stop_cancelled_for_one_on_the_other_side,
    s4_close_position_stop_taken_for_a_bare_quantity,
    s5_close_position_stop_beside_another,
    s6_wrong_index_works_on_the_other_position,
    s6_target_outlives_its_position,
    s6_target_works_on_a_later_position,
    s6_hedge_orphan_beside_a_living_side,
    s7_target_sent_twice,
    s8_hedge_second_owner_of_one_side,
    s9_hedge_strangers_side_closed,
    s12_entry_in_doubt_sent_again,
    s12_entry_without_an_answer_sent_again,
    s12_third_stop_beside_one_in_doubt,
    s13_target_on_the_wrong_side_of_the_mark,
    s14_two_exits_for_the_whole,
    s14_exit_leaves_a_rest,
    l1_stop_stays_too_big,
    l1_target_filled_and_the_stop_not_resized,
    log_long_position_below_zero,
)
