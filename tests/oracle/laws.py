"""The laws about single orders at a position: S2, S3, S5, S6 (LAWS.md has the wording)."""

from __future__ import annotations

from decimal import Decimal

from tests.oracle.asks import Ask, What
from tests.oracle.book import Book
from tests.oracle.court import GRACE_MS, Court
from tests.oracle.facts import Accepted, Amended, Answered, Asked, By, Ended, Filled, Key, Life, LifeOver, Order
from tests.oracle.law import Ears, Law
from tests.oracle.measures import Measures
from tests.oracle.ours import ENTRY

QUIET_MS = 2_000
MOST_TWO_STOPS_MS = 10_000
NO_ORPHAN_AFTER_MS = 5_000
# The venue's words for 'this trigger is passed already' (VENUES D); Bybit's 10001 is one if the price says so.
WOULD_TRIGGER = frozenset({-2021, -4142, 110092, 110093})
BAD_REQUEST = 10001


class NeverAddRisk(Law):
    """S2. No order of ours but an entry makes a position larger or flips it, or could do so."""

    name = "S2"

    def hears(self) -> Ears:
        return {Filled: self._filled, Accepted: self._accepted}

    def _filled(self, fact: Filled) -> None:
        if fact.order is None or fact.order.kind in ("", ENTRY):
            return
        if abs(fact.after) > abs(fact.before) or fact.before * fact.after < 0:
            self.breach(
                fact.line.t, fact.line.symbol, f"an order of ours, no entry: {fact.before} -> {fact.after}", fact.line
            )

    def _accepted(self, fact: Accepted) -> None:
        order = fact.order
        if order.kind in ("", ENTRY) or order.parent is not None:
            return
        if not order.closes(1) and not order.closes(-1):
            self.breach(order.accepted.t, order.key[0], "no entry and not reduce-only", order.accepted)
        elif fact.life is not None and not order.closes(fact.life.side):
            self.breach(order.accepted.t, order.key[0], "on the side that adds to the position", order.accepted)


class Ratchet(Law):
    """S3. The stop in force never moves against the position.

    Excuses: an operator asked for it; the venue refused the better price, or would have (the mark is past it).
    """

    name = "S3"

    def __init__(self, book: Book, court: Court, measures: Measures) -> None:
        super().__init__(book, court, measures)
        self._refused: dict[Key, int] = {}
        self._outside: dict[Key, int] = {}

    def hears(self) -> Ears:
        return {
            Answered: self._answered,
            Accepted: self._accepted,
            Amended: self._amended,
            Ended: self._ended,
        }

    def _answered(self, fact: Answered) -> None:
        passed = fact.line.code in WOULD_TRIGGER or (fact.line.code == BAD_REQUEST and self._passed(fact.ask))
        if passed and fact.ask.symbol is not None:
            self._refused[fact.ask.key] = fact.line.t

    def _passed(self, ask: Ask) -> bool:
        """Whether the stop that was asked for is on the wrong side of the mark by now."""
        life, mark = self.book.lives.get(ask.key), self.book.mark(str(ask.symbol))
        wanted = ask.stop_loss if ask.what is What.ATTACH else ask.trigger
        if life is None or mark is None or wanted is None:
            return False
        return (mark - Decimal(str(wanted))) * life.side <= 0

    def _accepted(self, fact: Accepted) -> None:
        if fact.order.is_stop and fact.life is not None and fact.life.owner is not None:
            self._look(fact.life, fact.order)

    def _amended(self, fact: Amended) -> None:
        life = fact.life
        if not fact.order.is_stop or life is None or life.owner is None:
            return
        if fact.by is By.US:
            self._look(life, fact.order)
            return
        # An outsider's act breaks no law of ours, and what it has made better we may not make worse again.
        in_force = self.book.stop_in_force(life.key)
        if in_force is not None and (life.floor is None or (in_force - life.floor) * life.side > 0):
            life.floor = in_force
        self._outside[life.key] = fact.order.latest.t

    def _ended(self, fact: Ended) -> None:
        if fact.order.is_stop and fact.by is By.US and fact.life is not None and fact.life.owner is not None:
            self._look(fact.life, fact.order)

    def _look(self, life: Life, cause: Order) -> None:
        in_force = self.book.stop_in_force(life.key)
        if in_force is None:
            return
        floor = life.floor
        if floor is not None and (in_force - floor) * life.side < 0:
            symbol, now = life.key[0], cause.latest.t
            why = self._excuse(life, floor, now)
            if why is not None:
                self.court.excuse(self.name, why)
            else:
                self.breach(now, symbol, f"stop in force {floor} -> {in_force}", cause.latest)
        life.floor = in_force

    def _excuse(self, life: Life, floor: Decimal, now: int) -> str | None:
        symbol = life.key[0]
        mark = self.book.mark(symbol)
        if self.court.operator_asked(symbol, now):
            return "an operator asked for it"
        if now - self._refused.get(life.key, -GRACE_MS) < GRACE_MS:
            return "the venue refused the better price"
        if now - self._outside.get(life.key, -GRACE_MS) < GRACE_MS:
            return "an outsider had just changed the stop"
        if mark is not None and (mark - floor) * life.side <= 0:
            return "the mark is past the better price"
        return None


class OneStop(Law):
    """S5. At most two live stops of ours for a position; two no longer than while something of ours is in flight."""

    name = "S5"

    def __init__(self, book: Book, court: Court, measures: Measures) -> None:
        super().__init__(book, court, measures)
        self._busy: dict[str, int] = {}
        self._pairs: dict[int, int] = {}
        """Since when a position has two."""

    def hears(self) -> Ears:
        return {
            Asked: self._asked,
            Answered: self._answered,
            Accepted: self._accepted,
            Filled: self._filled,
            Ended: self._ended,
        }

    def _ended(self, fact: Ended) -> None:
        ident = fact.order.ident
        if ident is not None and ident.position in self._pairs and len(self.book.our_live_stops(ident.position)) < 2:
            del self._pairs[ident.position]

    def _asked(self, fact: Asked) -> None:
        if fact.ask.symbol is not None and fact.ask.what not in (What.QUESTION, What.CONTROL):
            self._busy[fact.ask.symbol] = fact.ask.line.t

    def _answered(self, fact: Answered) -> None:
        if fact.ask.symbol is not None:
            self._busy[fact.ask.symbol] = fact.line.t

    def _filled(self, fact: Filled) -> None:
        self._busy[fact.line.symbol] = fact.line.t

    def _accepted(self, fact: Accepted) -> None:
        order, position = fact.order, fact.order.owner
        if not order.our_stop or position is None:
            return
        symbol, now = order.key[0], order.accepted.t
        stops = self.book.our_live_stops(position)
        self.measures.most_stops = max(self.measures.most_stops, len(stops))
        if len(stops) > 2:
            self.breach(now, symbol, f"{len(stops)} live stops of one position", *(stop.latest for stop in stops))
        elif len(stops) == 2 and position not in self._pairs:
            self._pairs[position] = now
            self._busy[symbol] = max(self._busy.get(symbol, now), now)
            self._watch(position, symbol, since=now)

    def _watch(self, position: int, symbol: str, since: int) -> None:
        def pair(at: int) -> bool:
            return self._pairs.get(position) == since and len(self.book.our_live_stops(position)) >= 2

        def quiet(at: int) -> None:
            if not pair(at):
                return
            due = min(self._busy[symbol] + QUIET_MS, since + MOST_TWO_STOPS_MS)
            if due > at:
                self.court.remind(due, quiet)
                return
            stops = self.book.our_live_stops(position)
            self.court.expect(
                self.name, symbol, since, at - since, pair,
                lambda late: self.breach(
                    late, symbol, f"two live stops for {late - since} ms", *(stop.latest for stop in stops)
                ),
            )  # fmt: skip

        self.court.remind(since + QUIET_MS, quiet)


class NoOrphan(Law):
    """S6. An order of ours does not outlive its position by 5 s, and never works on another one: a later one on the
    symbol, or that of the other side in hedge mode.
    """

    name = "S6"

    def hears(self) -> Ears:
        return {LifeOver: self._life_over, Accepted: self._accepted, Filled: self._filled}

    def _life_over(self, fact: LifeOver) -> None:
        owner, ended = fact.life.owner, fact.life.ended
        if owner is None or ended is None:
            return
        self.court.expect(
            self.name, fact.life.key[0], ended.t, NO_ORPHAN_AFTER_MS,
            lambda _: not self._lives(owner) and bool(self.book.our_live_orders(owner)),
            lambda at: self.breach(
                at, fact.life.key[0], f"live {at - ended.t} ms after its position ended",
                *(order.latest for order in self.book.our_live_orders(owner)),
            ),
        )  # fmt: skip

    def _accepted(self, fact: Accepted) -> None:
        order, position = fact.order, fact.order.owner
        if position is None or order.kind == ENTRY or order.parent is not None:
            return
        if fact.life is not None and fact.life.owner == position:
            return
        elsewhere = next((life.key for life in self.book.lives.values() if life.owner == position), None)
        if elsewhere is not None:
            self.breach(
                order.accepted.t, order.key[0], f"accepted on {order.key[1]}, its position is {elsewhere[1]}",
                order.accepted,
            )  # fmt: skip
            return
        self.court.expect(
            self.name, order.key[0], order.accepted.t, NO_ORPHAN_AFTER_MS,
            lambda _: order.live and not self._lives(position),
            lambda at: self.breach(
                at, order.key[0], f"accepted without its position and live {at - order.accepted.t} ms later",
                order.accepted,
            ),
        )  # fmt: skip

    def _filled(self, fact: Filled) -> None:
        order = fact.order
        if order is None or order.owner is None or order.kind == ENTRY:
            return
        root = order.parent or order
        if root.life is not None and root.life is not fact.life:
            self.breach(fact.line.t, fact.line.symbol, "a stop of an earlier position filled", fact.line)
        elif fact.life.owner not in (None, order.owner):
            self.breach(fact.line.t, fact.line.symbol, "an order of another position of ours filled", fact.line)

    def _lives(self, position: int) -> bool:
        return any(life.owner == position for life in self.book.lives.values())
