"""The laws about cover: S1, S4, S16 (LAWS.md has the wording).

Rules of this file and of its neighbours: a class a law, which hears facts and asks the book; none knows of another.
Where a law grants an excuse the class says so in its docstring, and the court counts it.
"""

from __future__ import annotations

from tests.oracle.book import Book
from tests.oracle.court import Court
from tests.oracle.facts import (
    TRIGGERING_COVERS_MS,
    Accepted,
    Amended,
    By,
    Ended,
    Filled,
    Fired,
    Key,
    Life,
    LifeOver,
    Order,
    StepOver,
)
from tests.oracle.law import Ears, Law
from tests.oracle.measures import Interval, Measures, percentile
from tests.oracle.ours import ENTRY, EXIT
from tests.oracle.reader import AlgoLine, AnyLine

MOST_UNPROTECTED_MS = 3_000
P99_UNPROTECTED_MS = 1_000
P99_NEEDS = 100
SEEN_WITHIN_MS = 5_000


class Cover(Law):
    """S1. An unprotected interval begins at a fill or by an outsider's or the exchange's act, and ends within 3 s."""

    name = "S1"

    def __init__(self, book: Book, court: Court, measures: Measures) -> None:
        super().__init__(book, court, measures)
        self._open: dict[Key, Interval] = {}
        self._causes: dict[Key, tuple[By, AnyLine]] = {}

    def hears(self) -> Ears:
        return {
            Filled: self._filled,
            Amended: self._amended,
            Ended: self._ended,
            Fired: self._fired,
            LifeOver: self._life_over,
            StepOver: self._step,
        }

    def _filled(self, fact: Filled) -> None:
        if abs(fact.after) > abs(fact.before):
            outsider = fact.order is None or not fact.order.kind
            self._blame(fact.life.key, By.OUTSIDER if outsider else By.FILL, fact.line)

    def _ended(self, fact: Ended) -> None:
        if fact.order.is_stop and fact.by is not By.DONE:
            by = fact.by
            if by is By.US and _fill_overtook(self.book, fact.order):
                self.court.excuse(self.name, "a fill overtook our cancel")
                by = By.FILL
            self._blame(fact.order.key, by, fact.order.latest)

    def _amended(self, fact: Amended) -> None:
        if fact.order.is_stop:
            self._blame(fact.order.key, fact.by, fact.order.latest)

    def _fired(self, fact: Fired) -> None:
        # When the second is over the order no longer counts, and no line says so.
        self.court.remind(fact.order.latest.t + TRIGGERING_COVERS_MS + 1, lambda at: self._lapsed(fact.order, at))

    def _lapsed(self, order: Order, at: int) -> None:
        if order.firing:
            self._blame(order.key, By.EXCHANGE, order.latest)
            self.book.now = max(self.book.now, at)
            self._judge(order.key, at)

    def _blame(self, key: Key, by: By, line: AnyLine) -> None:
        # Our own act outweighs whatever else happened in the same step.
        if key not in self._causes or by is By.US:
            self._causes[key] = (by, line)

    def _life_over(self, fact: LifeOver) -> None:
        interval = self._open.pop(fact.life.key, None)
        if interval is not None and fact.life.ended is not None:
            self._close(interval, fact.life.ended.t)

    def _step(self, fact: StepOver) -> None:
        for key in fact.touched:
            self._judge(key, fact.t)
        self._causes.clear()

    def _judge(self, key: Key, now: int) -> None:
        life = self.book.lives.get(key)
        size = self.book.size(key)
        if life is None or life.owner is None:
            return
        covered = self.book.cover(key) >= size
        interval = self._open.get(key)
        if covered:
            if life.first_cover_at is None:
                life.first_cover_at = now
                self.measures.first_cover(life)
            if interval is not None:
                del self._open[key]
                self._close(interval, now)
        elif interval is None:
            self._begin(key, life, now)

    def _begin(self, key: Key, life: Life, now: int) -> None:
        by, line = self._causes.get(key, (By.EXCHANGE, life.began))
        interval = Interval(symbol=key[0], owner=life.owner, cause=by, began=now)
        self._open[key] = interval
        figures = f"position {self.book.size(key)}, cover {self.book.cover(key)}"
        if by is By.US:
            self.breach(now, key[0], f"we uncovered a covered position: {figures}", line)
        self.court.expect(
            self.name,
            key[0],
            now,
            MOST_UNPROTECTED_MS,
            lambda _: self._open.get(key) is interval,
            lambda at: self.breach(
                at,
                key[0],
                f"unprotected for {at - now} ms (begun by {by}): position {self.book.size(key)}, "
                f"cover {self.book.cover(key)}",
                line,
            ),
        )

    def _close(self, interval: Interval, now: int) -> None:
        interval.ended = now
        if interval.length > P99_UNPROTECTED_MS:
            interval.excuse = self.court.reason_within(interval.symbol, interval.began, now)
        self.measures.intervals.append(interval)

    def over(self) -> None:
        for interval in self._open.values():
            self._close(interval, self.book.now)
        lengths = [i.length for i in self.measures.intervals if i.excuse is None]
        p99 = percentile(lengths, 99)
        if len(lengths) >= P99_NEEDS and p99 > P99_UNPROTECTED_MS:
            self.breach(self.book.now, "all", f"unprotected intervals: p99 {p99} ms of {len(lengths)}")


class NoHole(Law):
    """S4. The new stop was accepted before the old one is cancelled, or the stop was changed in place.

    A change in place is a move without a hole, unless it leaves less cover than there was. Excuse: a fill overtook
    our cancel.
    """

    name = "S4"

    def hears(self) -> Ears:
        return {Ended: self._ended, Amended: self._amended}

    def _amended(self, fact: Amended) -> None:
        order, life = fact.order, fact.life
        if not (order.our_stop and fact.by is By.US and life is not None and life.owner is not None):
            return
        latest = order.latest
        if not isinstance(latest, AlgoLine):
            return
        size, cover = self.book.size(life.key), self.book.cover(life.key)
        if cover < size and self.book.covered_by(order, latest) < self.book.covered_by(order, fact.before):
            self.breach(
                latest.t, order.key[0], f"we changed a stop of {fact.before.quantity} at {fact.before.trigger}: "
                f"cover {cover} of {size} is left", fact.before, latest,
            )  # fmt: skip
        elif order.owner == life.owner and latest.trigger != fact.before.trigger:
            life.moves += 1

    def _ended(self, fact: Ended) -> None:
        order, life = fact.order, fact.life
        if not (order.our_stop and fact.was_live and fact.by is By.US and life is not None and life.owner is not None):
            return
        if not order.closes(life.side):
            # A stop of the side that was there before a human turned the position over: it covered nothing of this one.
            return
        size, cover = self.book.size(life.key), self.book.cover(life.key)
        if cover >= size:
            if order.owner == life.owner:
                life.moves += 1
            return
        if _fill_overtook(self.book, order):
            self.court.excuse(self.name, "a fill overtook our cancel")
            return
        self.breach(
            order.latest.t, order.key[0], f"we cancelled a stop of {order.latest.quantity} at {order.trigger}: "
            f"cover {cover} of {size} is left", order.accepted, order.latest,
        )  # fmt: skip


class NoExposureUnseen(Law):
    """S16. Five seconds after it filled, an entry is covered or being closed (reports are not in a timeline)."""

    name = "S16"

    def __init__(self, book: Book, court: Court, measures: Measures) -> None:
        super().__init__(book, court, measures)
        self._exits: dict[Key, int] = {}

    def hears(self) -> Ears:
        return {Accepted: self._accepted, Filled: self._filled}

    def _accepted(self, fact: Accepted) -> None:
        if fact.order.kind == EXIT:
            self._exits[fact.order.key] = fact.order.accepted.t

    def _filled(self, fact: Filled) -> None:
        if fact.order is None or fact.order.kind != ENTRY:
            return
        life, since = fact.life, fact.line.t

        def unseen(at: int) -> bool:
            alive = self.book.lives.get(life.key) is life
            covered = self.book.cover(life.key) >= self.book.size(life.key)
            return alive and not covered and self._exits.get(life.key, -1) < since

        self.court.expect(
            self.name, life.key[0], since, SEEN_WITHIN_MS, unseen,
            lambda at: self.breach(at, life.key[0], "neither covered nor being closed", fact.line),
        )  # fmt: skip


def _fill_overtook(book: Book, order: Order) -> bool:
    """Whether the position changed between our request to cancel and the cancel."""
    asked = order.cancel_asked
    return asked is not None and book.last_fill_seq.get(order.key, -1) > asked.line.seq
