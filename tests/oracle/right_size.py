"""L1, as far as the exchange can tell: a position of ours has a stop of exactly its size.

Too little is S1's, too many is S5's; this is the one that is left: a stop that would close another quantity.
"""

from __future__ import annotations

from tests.oracle.book import Book
from tests.oracle.court import Court
from tests.oracle.facts import Accepted, Key, Life, LifeOver, StepOver
from tests.oracle.law import Ears, Law
from tests.oracle.measures import Measures
from tests.oracle.ours import EXIT

RIGHT_WITHIN_MS = 35_000
"""A reconcile cycle and 5 s (L2): L1 asks for 10 s of news that arrives, and a timeline does not show news lost."""


class RightSize(Law):
    """L1. The stop gets the position's size again in time. A position that is being closed may wait for its end."""

    name = "L1"

    def __init__(self, book: Book, court: Court, measures: Measures) -> None:
        super().__init__(book, court, measures)
        self._wrong: dict[Key, int] = {}
        self._exits: dict[Key, int] = {}

    def hears(self) -> Ears:
        return {Accepted: self._accepted, LifeOver: self._life_over, StepOver: self._step}

    def _accepted(self, fact: Accepted) -> None:
        if fact.order.kind == EXIT:
            self._exits[fact.order.key] = fact.order.accepted.t

    def _life_over(self, fact: LifeOver) -> None:
        self._wrong.pop(fact.life.key, None)

    def _step(self, fact: StepOver) -> None:
        for key in fact.touched:
            life = self.book.lives.get(key)
            if life is None or life.owner is None or self.book.cover(key) < self.book.size(key) or self._right(key):
                self._wrong.pop(key, None)
            elif key not in self._wrong:
                self._wrong[key] = fact.t
                self._watch(key, life, fact.t)

    def _right(self, key: Key) -> bool:
        size = self.book.size(key)
        stops = self.book.stops(key)
        return any(stop.latest.close_position or stop.latest.quantity - stop.executed == size for stop in stops)

    def _watch(self, key: Key, life: Life, since: int) -> None:
        def wrong(at: int) -> bool:
            closing = at - self._exits.get(key, -RIGHT_WITHIN_MS) < RIGHT_WITHIN_MS
            return self._wrong.get(key) == since and self.book.lives.get(key) is life and not closing

        self.court.expect(
            self.name, key[0], since, RIGHT_WITHIN_MS, wrong,
            lambda at: self.breach(
                at, key[0], f"for {at - since} ms no stop of its size: position {self.book.size(key)}, "
                f"cover {self.book.cover(key)}", life.began, *(stop.latest for stop in self.book.stops(key)),
            ),
        )  # fmt: skip
