"""S14: an exit does its work once, whole, and leaves nothing behind (LAWS.md has the wording)."""

from __future__ import annotations

from tests.oracle.book import Book
from tests.oracle.court import Court
from tests.oracle.facts import ZERO, Accepted, Ended, Key, Life, Order
from tests.oracle.law import Ears, Law
from tests.oracle.measures import Measures
from tests.oracle.ours import EXIT

FINISHED_WITHIN_MS = 5_000


class OneExit(Law):
    """S14. Exits in flight together never ask for more than there is; one that was to end the position is finished.

    Finished means flat, or another exit accepted, within 5 s of an end that left something.
    """

    name = "S14"

    def __init__(self, book: Book, court: Court, measures: Measures) -> None:
        super().__init__(book, court, measures)
        self._final: dict[Order, Life] = {}
        self._last: dict[Key, int] = {}

    def hears(self) -> Ears:
        return {Accepted: self._accepted, Ended: self._ended}

    def _accepted(self, fact: Accepted) -> None:
        order, life = fact.order, fact.life
        if order.kind != EXIT or life is None:
            return
        size = self.book.size(order.key)
        self._last[order.key] = order.accepted.seq
        resting = self.book.resting.get(order.key, ())
        flying = [o for o in resting if o.kind == EXIT and o.live and o.owner == order.owner]
        asked = sum((o.latest.quantity - o.executed for o in flying), ZERO)
        if len(flying) > 1 and asked > size:
            self.breach(
                order.accepted.t, order.key[0], f"{len(flying)} exits in flight for {asked}, the position is {size}",
                *(o.latest for o in flying),
            )  # fmt: skip
        if order.latest.quantity >= size:
            self._final[order] = life

    def _ended(self, fact: Ended) -> None:
        order, over = fact.order, fact.order.latest
        life = self._final.pop(order, None)
        if life is None:
            return

        def left(_: int) -> bool:
            return self.book.lives.get(order.key) is life and self._last[order.key] < over.seq

        if self.book.lives.get(order.key) is life:
            self.court.expect(
                self.name, order.key[0], over.t, FINISHED_WITHIN_MS, left,
                lambda at: self.breach(
                    at, order.key[0], f"an exit has left {self.book.size(order.key)} for {at - over.t} ms", over
                ),
            )  # fmt: skip
