"""Seeded bugs in what is sent, how often and by whom; a story's name begins with the law that it breaks."""

from __future__ import annotations

from tests.unit.oracle.clean_lives import opened
from tests.unit.oracle.tiny_exchange import TinyExchange


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


def s7_second_try_of_the_whole_size(x: TinyExchange) -> None:
    order = x.entry("2", filled="1")
    x.end(order)
    stop = x.stop("98", "1", close_position=True)
    x.entry("2", sequence=3)
    x.cancel(stop)


def s7_second_try_beside_the_first(x: TinyExchange) -> None:
    order = x.entry("2", filled="1")
    x.stop("98", "1", close_position=True)
    x.entry("1", sequence=3)
    x.end(order)


def s7_third_try(x: TinyExchange) -> None:
    x.end(x.entry("3", filled="1"))
    x.stop("98", "1", close_position=True)
    x.end(x.entry("2", sequence=3, filled="1"))
    x.entry("1", sequence=4)


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


def log_position_without_fills(x: TinyExchange) -> None:
    opened(x)
    x.write("position", symbol=x.symbol, positionSide="BOTH", quantity="3", entryPrice="0")


def log_fill_of_nothing(x: TinyExchange) -> None:
    opened(x)
    fill = next(line for line in x.lines if line["kind"] == "fill")
    x.lines.append({**fill, "seq": len(x.lines) + 1, "t": x.t, "tradeId": 9999, "orderId": 9999})


BUGS = (
    s5_three_stops,
    s5_two_stops_left,
    s5_two_stops_while_busy_for_ever,
    s6_stop_left_after_the_exit,
    s6_stop_left_after_liquidation,
    s6_stop_placed_after_flat,
    s6_old_stop_works_on_a_later_position,
    s6_old_stop_hides_behind_a_later_position,
    s7_one_id_accepted_twice,
    s7_entry_sent_again,
    s7_second_entry_for_one_position,
    s7_second_try_of_the_whole_size,
    s7_second_try_beside_the_first,
    s7_third_try,
    s7_entry_after_its_close,
    s7_execution_twice,
    s8_epoch_backwards,
    s8_old_term_writes_elsewhere,
    s8_two_owners,
    s9_strangers_stop_cancelled,
    s9_strangers_position_closed,
    s9_margin_mode_changed,
    s9_leverage_of_an_open_position,
    s13_off_tick,
    s13_off_step,
    s13_wrong_side,
    s13_exponent,
    s13_zero_quantity,
    s13_absurdly_far,
    s15_flood,
    s15_polling,
    log_position_without_fills,
    log_fill_of_nothing,
)
