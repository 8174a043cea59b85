"""The book as it was: what a venue shows whose answers lag behind its matching.

The steps of the last minute are kept beside a book that trails by that much; a book of any moment between is made from
both. Rule: what is made here is looked at and thrown away, never changed.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from adapters.paper_exchange.book import Book
from adapters.paper_exchange.orders import AlgoOrder, Event, Fill, Order

KEPT_MS: Final = 60_000


class Past:
    """Books of earlier moments; `hear` every step of the engine."""

    def __init__(self, book: Book) -> None:
        self._trailing = _made_of(book.events())
        self._steps: deque[tuple[int, list[Event]]] = deque()

    def hear(self, now: int, events: list[Event]) -> None:
        """Take a step in."""
        self._steps.append((now, events))
        while self._steps[0][0] < now - KEPT_MS:
            for event in self._steps.popleft()[1]:
                self._trailing.apply(event)

    def book(self, at: int) -> Book:
        """The book at a venue time of the last minute; that of a minute ago if it is longer ago."""
        made = _made_of(self._trailing.events())
        for time, events in self._steps:
            if time > at:
                break
            for event in events:
                made.apply(event)
        return made


def without_young_orders(book: Book, since: int) -> Book:
    """The book without the orders and conditionals that were made after `since` (venue ms), and what they executed."""
    kept = [event for event in book.events() if _made_at(event) <= since]
    known = {event.order_id for event in kept if isinstance(event, Order)}
    hidden = {order_id for order_id in book.orders if order_id not in known}
    return _made_of(event for event in kept if not (isinstance(event, Fill) and event.order_id in hidden))


def _made_at(event: Event) -> int:
    match event:
        case Order():
            return event.time
        case AlgoOrder(attached=False):
            return event.create_time
        case _:
            return 0


def _made_of(events: Iterable[Event]) -> Book:
    book = Book()
    for event in events:
        book.apply(event)
    return book
