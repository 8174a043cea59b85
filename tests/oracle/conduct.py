"""The laws about who sends, what is whose and how often: S7 to S9, and the book's own consistency (LAWS.md).

Rules of this file: an order is judged when accepted. What carries no id of ours (a stop set on the position itself, an
amendment) is judged as far as a noted intent tells (`asks`), and counted as unjudged where none does.
"""

from __future__ import annotations

from tests.oracle.asks import What
from tests.oracle.book import Book
from tests.oracle.court import Court
from tests.oracle.facts import (
    ZERO,
    Accepted,
    Amended,
    Answered,
    By,
    Ended,
    Filled,
    Mismatch,
    Order,
    Repeated,
)
from tests.oracle.law import Ears, Law
from tests.oracle.measures import Measures
from tests.oracle.ours import ENTRY, EXIT, STOP, TAKE_PROFIT, Ident
from tests.oracle.reader import OrderLine

RECEIVE_WINDOW_MS = 2_000
Written = tuple[tuple[int, int], int, Order]
"""An epoch, when (ms) it first wrote, and what."""


class AtMostOnce(Law):
    """S7. A client id is accepted once, a position is entered once, an execution happens once.

    A position is entered by one order, or by two: the second one is for what the first left when it was over.

    A stop set on the position itself has no id and cannot be accepted twice: the venue keeps one of a kind on a
    position (a second one is brought here), and the same value again changes nothing.
    """

    name = "S7"

    def __init__(self, book: Book, court: Court, measures: Measures) -> None:
        super().__init__(book, court, measures)
        self._ids: dict[str, Order] = {}
        self._entries: dict[int, list[Order]] = {}

    def hears(self) -> Ears:
        return {Accepted: self._accepted, Repeated: self._repeated}

    def _accepted(self, fact: Accepted) -> None:
        order = fact.order
        if order.attached and order.latest.close_position:
            self._only_one(order)
        if order.ident is None or order.parent is not None:
            return
        line = order.accepted
        first = self._ids.setdefault(line.client_id, order)
        if first is not order:
            self.breach(line.t, line.symbol, f"{line.client_id} was accepted twice", first.accepted, line)
        elif order.ident.kind == ENTRY:
            self._entered(order, self._entries.setdefault(order.ident.position, []))

    def _entered(self, order: Order, before: list[Order]) -> None:
        line = order.accepted
        if len(before) > 1:
            self.breach(line.t, line.symbol, "a third entry for one position", before[0].accepted, line)
        elif before:
            (first,) = before
            text = f"a second entry for one position, of {line.quantity}: the first was for {first.accepted.quantity}"
            if first.live:
                self.breach(line.t, line.symbol, f"{text} and is not over", first.accepted, line)
            elif first.executed + line.quantity > first.accepted.quantity:
                self.breach(line.t, line.symbol, f"{text} and got {first.executed}", first.accepted, line)
        before.append(order)

    def _only_one(self, order: Order) -> None:
        twin = next(
            (
                other
                for other in self.book.resting.get(order.key, ())
                if other is not order and other.attached and other.live and other.latest.close_position
                and other.latest.type == order.latest.type
            ),
            None,
        )  # fmt: skip
        if twin is not None:
            self.breach(
                order.accepted.t, order.key[0], "a second one of a kind attached to one position", twin.latest,
                order.accepted,
            )  # fmt: skip

    def _repeated(self, fact: Repeated) -> None:
        self.breach(fact.line.t, fact.line.symbol, f"execution {fact.line.trade_id} was reported twice", fact.line)


class OneWriter(Law):
    """S8. Epochs never go backwards for a position, terms never for an account; a position has one owner.

    Excuse: what was on the wire within the receive window at a take-over.
    """

    name = "S8"

    def __init__(self, book: Book, court: Court, measures: Measures) -> None:
        super().__init__(book, court, measures)
        self._epochs: dict[int, Written] = {}
        self._term: Written | None = None

    def hears(self) -> Ears:
        return {Accepted: self._accepted, Amended: self._amended}

    def _accepted(self, fact: Accepted) -> None:
        order, life = fact.order, fact.life
        if order.parent is not None:
            return
        if order.ident is None:
            self._set_without_id(order)
            return
        self._writes(order.ident, order)
        if order.ident.kind == ENTRY and life is not None and life.owner not in (None, order.ident.position):
            self.breach(
                order.accepted.t, order.accepted.symbol, "an entry into a position that has another owner", life.began,
                order.accepted,
            )  # fmt: skip

    def _amended(self, fact: Amended) -> None:
        if fact.by is By.US:
            self._set_without_id(fact.order)

    def _set_without_id(self, order: Order) -> None:
        """What is set on a position, or changed in place: the id of the resting order says nothing of who wrote."""
        if order.asked is None:
            return
        if order.asked.ident is not None:
            self._writes(order.asked.ident, order)
        else:
            self.court.cannot_judge(self.name, "a stop was set or changed in place by a request without an id of ours")

    def _writes(self, ident: Ident, order: Order) -> None:
        known = self._epochs.get(ident.position)
        if known is not None and ident.epoch < known[0]:
            self._backwards(f"epoch {known[0]} -> {ident.epoch} of one position", known, order)
            return
        at = order.latest.t
        if known is None or known[0] != ident.epoch:
            self._epochs[ident.position] = (ident.epoch, at, order)
        if self._term is not None and ident.term < self._term[0][0]:
            self._backwards(f"term {self._term[0][0]} -> {ident.term} of the account", self._term, order)
        elif self._term is None or ident.term > self._term[0][0]:
            self._term = (ident.epoch, at, order)

    def _backwards(self, text: str, newer: Written, order: Order) -> None:
        _, at, written = newer
        if order.latest.t - at <= RECEIVE_WINDOW_MS:
            self.court.excuse(self.name, "on the wire at a take-over")
        else:
            self.breach(order.latest.t, order.key[0], text, written.accepted, order.latest)


class HandsOff(Law):
    """S9. A stranger's order is not cancelled or changed, his position not closed, an account's modes not changed.

    Excuses: the operator asked for it; a stranger's stop is taken over as `adopt_stops` says: once one of ours stands.
    """

    name = "S9"

    def hears(self) -> Ears:
        return {Amended: self._amended, Ended: self._ended, Filled: self._filled, Answered: self._answered}

    def _amended(self, fact: Amended) -> None:
        if fact.by is By.US and fact.foreign:
            if self.court.terms.adopt_stops and fact.order.is_stop:
                self.court.excuse(self.name, "adopt_stops is set")
            else:
                self._judge(fact.order.key[0], fact.order.latest.t, "we changed a stranger's order", fact)

    def _ended(self, fact: Ended) -> None:
        if fact.by is not By.US or fact.order.kind:
            return
        stands = any(order.our_stop and order.live for order in self.book.resting.get(fact.order.key, ()))
        if self.court.terms.adopt_stops and fact.order.is_stop and stands:
            self.court.excuse(self.name, "adopt_stops is set")
        else:
            self._judge(fact.order.key[0], fact.order.latest.t, "we cancelled a stranger's order", fact)

    def _filled(self, fact: Filled) -> None:
        kind = "" if fact.order is None else fact.order.kind
        if kind in (EXIT, STOP, TAKE_PROFIT) and fact.life.owner is None and fact.before:
            self._judge(fact.line.symbol, fact.line.t, "we closed a stranger's position", fact)

    def _answered(self, fact: Answered) -> None:
        ask = fact.ask
        if not fact.line.granted:
            return
        symbol = str(ask.line.params.get("symbol", ""))
        if ask.what is What.MODE:
            self._judge(symbol, fact.line.t, f"we changed {ask.line.path}", fact)
        elif ask.what is What.LEVERAGE and any(key[0] == symbol for key in self.book.lives):
            self._judge(symbol, fact.line.t, "we changed the leverage of an open position", fact)

    def _judge(self, symbol: str, at: int, text: str, fact: Amended | Ended | Filled | Answered) -> None:
        if self.court.operator_asked(symbol, at):
            self.court.excuse(self.name, "an operator asked for it")
            return
        line = fact.order.latest if isinstance(fact, Amended | Ended) else fact.line
        self.breach(at, symbol, text, line)


class Evidence(Law):
    """The timeline agrees with itself: a position is the sum of its fills, and only a fill of an order moves it."""

    name = "LOG"

    def hears(self) -> Ears:
        return {Mismatch: self._mismatch, Filled: self._filled}

    def _mismatch(self, fact: Mismatch) -> None:
        line = fact.line
        self.breach(line.t, line.symbol, f"position {line.quantity}, its fills make {fact.expected}", line)

    def _filled(self, fact: Filled) -> None:
        order, sign = fact.order, {"LONG": 1, "SHORT": -1}.get(fact.line.position_side, 0)
        if fact.after * sign < 0:
            self.breach(
                fact.line.t, fact.line.symbol, f"a {fact.line.position_side} position of {fact.after}", fact.line
            )
        if order is None:
            self.breach(fact.line.t, fact.line.symbol, "a fill of an order that was never accepted", fact.line)
        elif isinstance(order.latest, OrderLine) and ZERO < order.latest.quantity < order.latest.executed:
            self.breach(fact.line.t, fact.line.symbol, "more was executed than ordered", order.latest, fact.line)
