"""Books of earlier moments."""

from decimal import Decimal

from adapters.paper_exchange.book import Book
from adapters.paper_exchange.codec import to_record
from adapters.paper_exchange.orders import Event
from adapters.paper_exchange.past import KEPT_MS, Past, without_young_orders
from tests.unit.paper_exchange.desk import Desk


class Kept(Desk):
    """A desk whose past is kept."""

    def __init__(self) -> None:
        self.past: Past | None = None
        super().__init__()
        self.past = Past(self.book)

    def took(self, events: list[Event]) -> list[Event]:
        if self.past is not None:
            self.past.hear(self.now, events)
        return super().took(events)

    def at(self, moment: int) -> Book:
        assert self.past is not None
        return self.past.book(moment)


def test_the_book_as_it_was_at_every_moment() -> None:
    desk = Kept()
    books = {}
    for step in ("buy", "stop", "price", "sell"):
        at = desk.now
        match step:
            case "buy":
                desk.market("BUY", "0.010")
            case "stop":
                desk.stop("SELL", "59000")
            case "price":
                desk.price("58900")
            case _:
                desk.market("SELL", "0.010")
        books[at] = desk.records()
    for at, records in books.items():
        assert [to_record(event) for event in desk.at(at).events()] == records


def test_what_is_longer_ago_than_a_minute_is_shown_as_of_a_minute_ago() -> None:
    desk = Kept()
    desk.market("BUY", "0.010")
    desk.now += KEPT_MS + 1_000
    desk.market("BUY", "0.020")
    assert desk.at(0).position("BTCUSDT").quantity == Decimal("0.010")
    assert desk.at(desk.now).position("BTCUSDT").quantity == Decimal("0.030")


def test_what_was_looked_at_does_not_touch_what_is() -> None:
    desk = Kept()
    desk.market("BUY", "0.010")
    before = desk.records()
    desk.at(0)
    without_young_orders(desk.book, 0)
    assert desk.records() == before


def test_young_orders_are_unknown_and_their_positions_are_not() -> None:
    desk = Desk()
    since = desk.now
    desk.market("BUY", "0.010", client="old")
    desk.market("BUY", "0.010", client="young")
    desk.stop("SELL", "59000", client="stop")
    seen = without_young_orders(desk.book, since)
    assert seen.order_by_client_id("BTCUSDT", "old") is not None
    assert seen.order_by_client_id("BTCUSDT", "young") is None
    assert seen.algo_by_client_id("stop") is None
    assert seen.position("BTCUSDT").quantity == Decimal("0.020")
    assert [fill.order_id for fill in seen.fills] == [fill.order_id for fill in desk.book.fills][:1]
