"""Lives that no law may complain of, however troubled; and the two acts of which most stories are made."""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.oracle.tiny_exchange import TinyExchange

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


def enters_in_two_tries(x: TinyExchange) -> None:
    x.end(x.entry("2", filled="1"))
    x.entry("1", sequence=2)
    x.wait(20)
    stop = x.stop("98", sequence=3, close_position=True)
    x.fire(stop, "98")


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


def turned_over_and_its_stop_cancelled_late(x: TinyExchange) -> None:
    """Our stop of the side that was there covers nothing of what a human opened: to cancel it leaves no hole."""
    stop = opened(x)
    x.market("web_1", "SELL", "2", origin="human")
    x.wait(1000)
    adopted_stop = x.stop("102", side="BUY", position=2)
    x.change(adopted_stop, "CANCELED")
    x.wait(500)
    x.cancel(stop)
    x.wait(500)
    x.stop("102", side="BUY", position=2, sequence=3)


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
    enters_in_two_tries,
    grows_with_partial_fills,
    close_position_stop,
    first_stop_refused_then_closed,
    stop_cancelled_by_hand_and_put_right,
    a_human_closes,
    turned_over_and_its_stop_cancelled_late,
    liquidated,
    a_strangers_position_without_a_stop,
    adopted,
    a_second_position_later,
    takeover_by_a_higher_epoch,
    exchange_down_while_bare,
    lost_reply_to_a_stop_joined_by_a_second,
    fill_overtakes_a_cancel,
)
