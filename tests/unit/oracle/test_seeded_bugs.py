"""Each seeded bug must be caught by the law it breaks; each clean life, however troubled, must pass."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from tests.oracle.court import Absence, Filters, OperatorAct, Terms
from tests.unit.oracle.tiny_exchange import START, TinyExchange, client_id

TERMS = Terms(filters={"BTCUSDT": Filters(tick=Decimal("0.1"), step=Decimal("0.001"))})
Story = Callable[[TinyExchange], None]


def opened(x: TinyExchange, trigger: str = "98") -> int:
    """A covered long position of 1."""
    x.entry()
    x.wait(20)
    return x.stop(trigger)


def moved(x: TinyExchange, old: int, trigger: str, sequence: int) -> int:
    """The stop moved by new-before-cancel."""
    new = x.stop(trigger, sequence=sequence)
    x.wait(20)
    x.cancel(old)
    return new


# Clean lives


def trails_and_stops_out(x: TinyExchange) -> None:
    stop = opened(x)
    x.mark("103")
    x.wait(1000)
    stop = moved(x, stop, "101", 3)
    x.wait(1000)
    stop = moved(x, stop, "102", 4)
    x.fire(stop, "101.9")


def short_trails(x: TinyExchange) -> None:
    x.entry(side="SELL")
    first = x.stop("102", side="BUY")
    x.mark("97")
    second = x.stop("99", side="BUY", sequence=3)
    x.cancel(first)
    x.fire(second, "99")


def closes_by_exit_then_cancels(x: TinyExchange) -> None:
    stop = opened(x)
    x.exit()
    x.wait(50)
    x.cancel(stop)


def grows_with_partial_fills(x: TinyExchange) -> None:
    order = x.entry("2", filled="1")
    first = x.stop("98", "1")
    x.fill(order, "1")
    x.wait(100)
    x.stop("98", "2", sequence=3)
    x.cancel(first)


def close_position_stop(x: TinyExchange) -> None:
    x.entry()
    stop = x.stop("98", close_position=True)
    x.fire(stop, "98")


def first_stop_refused_then_closed(x: TinyExchange) -> None:
    x.entry()
    x.refuse_stop()
    x.wait(50)
    x.exit()


def stop_cancelled_by_hand_and_put_right(x: TinyExchange) -> None:
    stop = opened(x)
    x.change(stop, "CANCELED")
    x.wait(4000)
    x.stop("98", sequence=3)


def a_human_closes(x: TinyExchange) -> None:
    stop = opened(x)
    x.market("web_1", "SELL", "1", reduce_only=True, origin="human")
    x.wait(3000)
    x.cancel(stop)


def liquidated(x: TinyExchange) -> None:
    stop = opened(x)
    x.change(stop, "EXPIRED", more=True)
    x.market("autoclose-1", "SELL", "1", reduce_only=True, origin="liquidation")


def a_strangers_position_without_a_stop(x: TinyExchange) -> None:
    x.market("web_1", "BUY", "1", origin="human")
    x.wait(20_000)
    x.market("web_2", "SELL", "1", reduce_only=True, origin="human")


def adopted(x: TinyExchange) -> None:
    x.market("web_1", "BUY", "1", origin="human")
    x.wait(3000)
    x.stop("98")


def a_second_position_later(x: TinyExchange) -> None:
    stop = opened(x)
    x.fire(stop, "98")
    x.wait(10_000)
    x.mark("100")
    x.entry(position=2)
    x.stop("98", position=2)


def takeover_by_a_higher_epoch(x: TinyExchange) -> None:
    stop = opened(x)
    x.mark("104")
    new = x.stop("101", sequence=3, epoch=(2, 1))
    x.cancel(stop)
    x.fire(new, "101")


def exchange_down_while_bare(x: TinyExchange) -> None:
    x.entry()
    x.t += 30_000
    x.write("session", event="start", pid=2)
    x.wait(4000)
    x.stop("98")


def lost_reply_to_a_stop_joined_by_a_second(x: TinyExchange) -> None:
    x.entry()
    first = x.stop("98")
    x.lines.pop()  # its reply never came
    x.wait(3000)
    second = x.stop("98", sequence=3)
    x.wait(100)
    x.cancel(first)
    x.fire(second, "98")


def fill_overtakes_a_cancel(x: TinyExchange) -> None:
    order = x.entry("2", filled="1")
    first = x.stop("98", "1")
    second = x.stop("98", "1", sequence=3)
    request = x.ask("DELETE", "/fapi/v1/algoOrder", algoId=str(first))
    x.fill(order, "1")
    x.change(first, "CANCELED")
    x.answer(request)
    x.wait(50)
    x.stop("98", "2", sequence=4)
    x.cancel(second)


CLEAN: tuple[Story, ...] = (
    trails_and_stops_out,
    short_trails,
    closes_by_exit_then_cancels,
    grows_with_partial_fills,
    close_position_stop,
    first_stop_refused_then_closed,
    stop_cancelled_by_hand_and_put_right,
    a_human_closes,
    liquidated,
    a_strangers_position_without_a_stop,
    adopted,
    a_second_position_later,
    takeover_by_a_higher_epoch,
    exchange_down_while_bare,
    lost_reply_to_a_stop_joined_by_a_second,
    fill_overtakes_a_cancel,
)


@pytest.mark.parametrize("story", CLEAN, ids=lambda s: s.__name__)
def test_clean_life_passes(story: Story) -> None:
    x = TinyExchange()
    story(x)
    verdict = x.verdict(TERMS)
    assert verdict.clean, [f"{b.law} {b.text}" for b in verdict.breaches]


# Seeded bugs


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


def s5_three_stops(x: TinyExchange) -> None:
    opened(x)
    x.stop("98.1", sequence=3)
    x.stop("98.2", sequence=4)


def s5_two_stops_left(x: TinyExchange) -> None:
    opened(x)
    x.stop("98.1", sequence=3)


def s5_two_stops_while_busy_for_ever(x: TinyExchange) -> None:
    opened(x)
    x.stop("98.1", sequence=3)
    for _ in range(20):
        x.answer(x.ask("DELETE", "/fapi/v1/algoOrder", algoId="0"), -2011)
        x.wait(1000)


def s6_stop_left_after_the_exit(x: TinyExchange) -> None:
    opened(x)
    x.exit()


def s6_stop_left_after_liquidation(x: TinyExchange) -> None:
    opened(x)
    x.market("autoclose-1", "SELL", "1", reduce_only=True, origin="liquidation")


def s6_stop_placed_after_flat(x: TinyExchange) -> None:
    stop = opened(x)
    x.fire(stop, "98")
    x.stop("97", sequence=3)


def s6_old_stop_works_on_a_later_position(x: TinyExchange) -> None:
    old = opened(x)
    x.exit()
    x.wait(1000)
    x.entry(position=2)
    new = x.stop("97", position=2)
    x.fire(old, "98")
    x.wait(10)
    x.cancel(new)


def s6_old_stop_hides_behind_a_later_position(x: TinyExchange) -> None:
    opened(x)
    x.exit()
    x.wait(1000)
    x.entry(position=2)
    x.stop("97", position=2)


def s7_one_id_accepted_twice(x: TinyExchange) -> None:
    x.entry()
    x.stop("98")
    x.stop("98")


def s7_entry_sent_again(x: TinyExchange) -> None:
    opened(x)
    x.entry(sequence=1)
    x.stop("98", "1", sequence=4)


def s7_second_entry_for_one_position(x: TinyExchange) -> None:
    opened(x)
    x.entry(sequence=5)
    x.stop("98", "1", sequence=6)


def s7_entry_after_its_close(x: TinyExchange) -> None:
    stop = opened(x)
    x.fire(stop, "98")
    x.entry(sequence=7)
    x.stop("98", sequence=8)


def s7_execution_twice(x: TinyExchange) -> None:
    opened(x)
    fill = next(line for line in x.lines if line["kind"] == "fill")
    x.lines.append({**fill, "seq": len(x.lines) + 1, "t": x.t})


def s8_epoch_backwards(x: TinyExchange) -> None:
    stop = opened(x)
    new = x.stop("98.5", sequence=3, epoch=(1, 2))
    x.cancel(stop)
    x.wait(5000)
    x.stop("98.6", sequence=4, epoch=(1, 1))
    x.cancel(new)


def s8_old_term_writes_elsewhere(x: TinyExchange) -> None:
    x.entry(epoch=(2, 1))
    stop = x.stop("98", epoch=(2, 1))
    x.fire(stop, "98")
    x.wait(5000)
    x.entry(position=2, epoch=(1, 1))
    x.stop("98", position=2, epoch=(1, 1))


def s8_two_owners(x: TinyExchange) -> None:
    opened(x)
    x.entry(position=2)
    x.stop("98", position=2)


def s9_strangers_stop_cancelled(x: TinyExchange) -> None:
    opened(x)
    x.cancel(x.stop("90", name="web_stop"))


def s9_strangers_position_closed(x: TinyExchange) -> None:
    x.market("web_1", "BUY", "1", origin="human")
    x.exit()


def s9_margin_mode_changed(x: TinyExchange) -> None:
    x.answer(x.ask("POST", "/fapi/v1/marginType", marginType="ISOLATED"))


def s9_leverage_of_an_open_position(x: TinyExchange) -> None:
    opened(x)
    x.answer(x.ask("POST", "/fapi/v1/leverage", leverage="5"))


def s13_off_tick(x: TinyExchange) -> None:
    opened(x, "98.05")


def s13_off_step(x: TinyExchange) -> None:
    x.entry("1.0005")
    x.stop("98", "1.0005")


def s13_wrong_side(x: TinyExchange) -> None:
    x.entry()
    x.refuse_stop(trigger="101")
    x.stop("98")


def s13_exponent(x: TinyExchange) -> None:
    x.entry()
    x.refuse_stop(code=-1100, trigger="9.8E1")
    x.stop("98")


def s13_zero_quantity(x: TinyExchange) -> None:
    x.entry()
    x.refuse_stop(code=-4003, quantity="0")
    x.stop("98")


def s13_absurdly_far(x: TinyExchange) -> None:
    opened(x, "9.8")


def s15_flood(x: TinyExchange) -> None:
    for _ in range(160):
        x.answer(x.ask("POST", "/fapi/v1/order", side="BUY", quantity="1"), -2019)


def s15_polling(x: TinyExchange) -> None:
    for _ in range(40):
        x.t += 500
        x.write("request", id=0, method="GET", path="/fapi/v1/openOrders", params={})


def s16_filled_and_forgotten(x: TinyExchange) -> None:
    x.entry()
    x.wait(8000)
    x.stop("98")


def s16_rest_of_an_entry_forgotten(x: TinyExchange) -> None:
    order = x.entry("2", filled="1")
    x.stop("98", "1")
    x.wait(2000)
    x.fill(order, "1")


def log_position_without_fills(x: TinyExchange) -> None:
    opened(x)
    x.write("position", symbol=x.symbol, positionSide="BOTH", quantity="3", entryPrice="0")


def log_fill_of_nothing(x: TinyExchange) -> None:
    opened(x)
    fill = next(line for line in x.lines if line["kind"] == "fill")
    x.lines.append({**fill, "seq": len(x.lines) + 1, "t": x.t, "tradeId": 9999, "orderId": 9999})


BUGS: tuple[Story, ...] = tuple(
    story for name, story in list(globals().items()) if name.split("_")[0] in
    {"s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s13", "s15", "s16", "log"}
)  # fmt: skip


@pytest.mark.parametrize("story", BUGS, ids=lambda s: s.__name__)
def test_seeded_bug_is_caught(story: Story) -> None:
    x = TinyExchange()
    story(x)
    law = story.__name__.split("_")[0].upper()
    verdict = x.verdict(TERMS)
    assert law in verdict.broken(), [f"{b.law} {b.text}" for b in verdict.breaches]
    assert all(breach.lines or breach.symbol == "all" for breach in verdict.breaches if breach.law == law)


def test_every_judged_law_has_two_seeded_bugs() -> None:
    counts: dict[str, int] = {}
    for story in BUGS:
        law = story.__name__.split("_")[0]
        counts[law] = counts.get(law, 0) + 1
    assert len(BUGS) >= 50
    assert min(counts.values()) >= 2, counts


# Excuses are granted where the laws grant them, and counted


def excuses(x: TinyExchange, terms: Terms = TERMS) -> dict[str, str]:
    verdict = x.verdict(terms)
    assert verdict.clean, [f"{b.law} {b.text}" for b in verdict.breaches]
    return dict(verdict.excuses.keys())


def test_looser_stop_is_excused_by_a_refusal_of_the_better_price() -> None:
    x = TinyExchange()
    stop = opened(x)
    x.change(stop, "CANCELED")
    x.refuse_stop(trigger="98")
    x.stop("97.5", sequence=3)
    assert excuses(x)["S3"] == "the venue refused the better price"


def test_looser_stop_is_excused_by_an_operator_and_only_by_one_on_this_symbol() -> None:
    x = TinyExchange()
    moved(x, opened(x), "97", 3)
    asked = OperatorAct(at=START, symbol="BTCUSDT")
    elsewhere = OperatorAct(at=START, symbol="ETHUSDT")
    assert not x.verdict(Terms(operator_acts=(elsewhere,))).clean
    assert excuses(x, Terms(operator_acts=(asked,)))["S3"] == "an operator asked for it"


def test_kill_between_fill_and_stop_is_excused_only_if_the_judge_was_told() -> None:
    x = TinyExchange()
    x.entry()
    x.wait(12_000)
    x.stop("98")
    assert x.verdict(TERMS).broken() == {"S1", "S16"}
    away = Terms(absences=(Absence(since=START, until=START + 11_000),))
    assert excuses(x, away) == {"S1": "our process was down", "S16": "our process was down"}


def test_old_epoch_on_the_wire_at_a_take_over_is_excused_within_the_receive_window() -> None:
    x = TinyExchange()
    stop = opened(x)
    new = x.stop("98.5", sequence=3, epoch=(2, 1))
    x.cancel(stop)
    x.wait(1000)
    x.stop("98.6", sequence=4, epoch=(1, 1))
    x.cancel(new)
    assert excuses(x) == {"S8": "on the wire at a take-over"}


def test_fill_that_overtakes_a_cancel_is_counted() -> None:
    x = TinyExchange()
    fill_overtakes_a_cancel(x)
    assert excuses(x)["S4"] == "a fill overtook our cancel"
