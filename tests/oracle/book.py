"""The exchange's book, rebuilt from its timeline line by line: orders, positions, lives, marks, cover.

Rules of this file: it judges nothing. The signed position is the sum of the fills; the position lines must agree.
A position is (symbol, position side): BOTH in one-way mode; LONG and SHORT of one symbol are two in hedge mode. Who
caused a change is asked of `authors`; what no request of ours explains was an outsider's doing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from decimal import Decimal

from tests.oracle.asks import Ask, What, read_ask
from tests.oracle.authors import Authors
from tests.oracle.facts import (
    ZERO,
    Accepted,
    Amended,
    Answered,
    Asked,
    By,
    Ended,
    Fact,
    Filled,
    Fired,
    Key,
    Life,
    LifeOver,
    Marked,
    Meddled,
    Mismatch,
    Order,
    Repeated,
    StepOver,
)
from tests.oracle.ours import ENTRY, EXIT, Ident, identify
from tests.oracle.reader import (
    AlgoLine,
    AnyLine,
    ControlLine,
    FillLine,
    OrderLine,
    PositionLine,
    PriceLine,
    ReplyLine,
    RequestLine,
    SessionLine,
    StruckLine,
)

MARKS_KEPT_MS = 2_000
_OVER = frozenset({"CANCELED", "EXPIRED", "REJECTED", "FINISHED", "FILLED", "EXPIRED_IN_MATCH"})
_BY_EXCHANGE = frozenset({"EXPIRED", "REJECTED", "EXPIRED_IN_MATCH"})


class Book:
    """State of one account at the exchange, as far as the laws ask about it."""

    def __init__(self) -> None:
        self.now = 0
        self.orders: dict[str, Order] = {}
        self._by_client: dict[str, Order] = {}
        self.resting: dict[Key, list[Order]] = {}
        self.quantity: dict[Key, Decimal] = {}
        self.lives: dict[Key, Life] = {}
        self.past: list[Life] = []
        self.marks: dict[str, deque[tuple[int, Decimal]]] = {}
        self.requests: dict[int, Ask] = {}
        self.last_fill_seq: dict[Key, int] = {}
        self._authors = Authors()
        self._trades: set[str] = set()
        self._unnamed = 0
        self._touched: set[Key] = set()

    # Questions

    def by_name(self, name: str) -> Order | None:
        """The order that a request names: 'algo 5' or 'order 7', by the venue's id or by the client's."""
        return self.orders.get(name) or self._by_client.get(name)

    def mark(self, symbol: str) -> Decimal | None:
        """The latest mark price."""
        marks = self.marks.get(symbol)
        return marks[-1][1] if marks else None

    def recent_marks(self, symbol: str) -> list[Decimal]:
        """The marks in force at any time of the last two seconds."""
        marks = self.marks.get(symbol, ())
        recent = [mark for at, mark in marks if at >= self.now - MARKS_KEPT_MS]
        older = [mark for at, mark in marks if at < self.now - MARKS_KEPT_MS]
        return older[-1:] + recent

    def size(self, key: Key) -> Decimal:
        """The position's absolute quantity."""
        return abs(self.quantity.get(key, ZERO))

    def stops(self, key: Key, without: Order | None = None) -> list[Order]:
        """Omega: what would close the position if the price went against it."""
        life = self.lives.get(key)
        if life is None:
            return []
        return [
            order
            for order in self.resting.get(key, ())
            if order is not without
            and order.is_stop
            and order.closes(life.side)
            and order.covers(self.now)
            and self._adverse(order, life.side)
        ]

    def cover(self, key: Key, without: Order | None = None) -> Decimal:
        """The quantity that the live stops would close."""
        total = ZERO
        for order in self.stops(key, without):
            if order.latest.close_position:
                return max(total, self.size(key))
            total += max(order.latest.quantity - order.executed, ZERO)
        return total

    def covered_by(self, order: Order, terms: AlgoLine) -> Decimal:
        """The quantity that this order would close on these terms, its latest or earlier ones."""
        life = self.lives.get(order.key)
        if life is None or not order.is_stop or not order.closes(life.side):
            return ZERO
        mark = self.mark(order.key[0])
        if mark is not None and (mark - terms.trigger) * life.side <= 0:
            return ZERO
        size = self.size(order.key)
        return size if terms.close_position else min(max(terms.quantity - order.executed, ZERO), size)

    def stop_in_force(self, key: Key) -> Decimal | None:
        """E: the trigger that would be touched first, of stops that rest."""
        triggers = [order.trigger for order in self.stops(key) if order.live]
        if not triggers:
            return None
        return max(triggers) if self.lives[key].side > 0 else min(triggers)

    def our_live_stops(self, position: int) -> list[Order]:
        """The resting stops of one position id of ours."""
        return [o for o in self._all_resting() if o.live and o.our_stop and o.owner == position]

    def our_live_orders(self, position: int) -> list[Order]:
        """Every resting order of one position id of ours."""
        return [o for o in self._all_resting() if o.live and o.owner == position]

    # The one way in

    def take(self, line: AnyLine) -> Iterator[Fact]:
        """Take a line in; yields what happened, in order, the book already changed."""
        self.now = max(self.now, line.t)
        match line:
            case PriceLine():
                yield self._price(line)
            case RequestLine():
                yield self._request(line)
            case ReplyLine():
                ask = self.requests.pop(line.request, None)
                if ask is not None:
                    if not line.granted:
                        self._authors.refused(ask)
                    yield Answered(line=line, ask=ask)
            case OrderLine() | AlgoLine():
                yield from self._order(line)
            case FillLine():
                yield from self._fill(line)
            case PositionLine():
                yield from self._position(line)
            case ControlLine() | StruckLine():
                yield Meddled(line=line)
            case SessionLine(event="start"):
                # What was asked and not answered before the exchange died never will be.
                self.requests.clear()
            case _:
                pass
        if not line.more:
            touched, self._touched = frozenset(self._touched), set()
            yield StepOver(t=line.t, touched=touched)

    def touch(self, key: Key) -> None:
        """Have this position looked at again when the step is over."""
        self._touched.add(key)

    # Inside

    def _all_resting(self) -> Iterator[Order]:
        for orders in self.resting.values():
            yield from orders

    def _adverse(self, order: Order, side: int) -> bool:
        mark = self.mark(order.key[0])
        if mark is None or order.firing:
            return True
        return order.trigger < mark if side > 0 else order.trigger > mark

    def _price(self, line: PriceLine) -> Fact:
        marks = self.marks.setdefault(line.symbol, deque())
        marks.append((line.t, line.mark))
        # One older than the window stays: it was in force when the window began.
        while len(marks) > 2 and marks[1][0] < self.now - MARKS_KEPT_MS:
            marks.popleft()
        for side in ("BOTH", "LONG", "SHORT"):
            if (line.symbol, side) in self.lives:
                self._touched.add((line.symbol, side))
        return Marked(line=line)

    def _request(self, line: RequestLine) -> Fact:
        ask = read_ask(line)
        if ask.what not in (What.QUESTION, What.CONTROL):
            self.requests[line.id] = ask
        self._authors.note(ask)
        return Asked(ask=ask)

    def _order(self, line: OrderLine | AlgoLine) -> Iterator[Fact]:
        name = f"algo {line.algo_id}" if isinstance(line, AlgoLine) else f"order {line.order_id}"
        key = (line.symbol, line.position_side)
        self._touched.add(key)
        self._authors.stamped = self._authors.stamped or line.request is not None
        order = self.orders.get(name)
        if order is None:
            order = self._new(name, key, line)
            if line.status not in _OVER or line.status in ("FILLED", "FINISHED"):
                yield Accepted(order=order, life=self.lives.get(key))
            was_live = False
        else:
            was_live, before = order.live, order.latest
            order.latest = line
            if isinstance(line, AlgoLine) and isinstance(before, AlgoLine) and was_live and order.live:
                yield from self._amended(order, line, before)
        if order.firing and order.triggering_at is None:
            order.triggering_at = line.t
            yield Fired(order=order, life=self.lives.get(key))
        if line.status in _OVER:
            self.resting[key].remove(order)
            yield Ended(order=order, by=self._ended_by(order, line), was_live=was_live, life=self.lives.get(key))

    def _new(self, name: str, key: Key, line: OrderLine | AlgoLine) -> Order:
        order = Order(key=key, accepted=line, latest=line, ident=identify(line.client_id))
        self.orders[name] = order
        self._by_client[f"{name.partition(' ')[0]} {line.client_id}"] = order
        self.resting.setdefault(key, []).append(order)
        if isinstance(line, OrderLine) and line.algo_id is not None:
            order.parent = self.orders.get(f"algo {line.algo_id}")
        if order.parent is not None:
            order.parent.child = order
            order.ident = order.parent.ident
        elif isinstance(line, AlgoLine) and line.attached:
            order.asked = self._authors.of_change(line, since=-1)
            self._set_by(order, order.asked)
            if order.asked is not None or line.close_position:
                # What covers the whole is one with the position, whoever set it; a part of a stranger's stays his.
                order.life = self.lives.get(key)
        elif order.ident is not None and order.ident.kind != ENTRY:
            self._adopt(order, order.ident)
        return order

    def _amended(self, order: Order, line: AlgoLine, before: AlgoLine) -> Iterator[Fact]:
        unchanged = line.trigger == before.trigger and line.quantity == before.quantity
        if unchanged and line.close_position == before.close_position:
            return
        foreign = order.owner is None
        asked = self._authors.of_change(line, order.accepted.seq)
        if asked is not None:
            order.asked = asked
            if order.attached:
                self._set_by(order, asked)
        by = By.OUTSIDER if asked is None else By.US
        yield Amended(order=order, before=before, by=by, foreign=foreign, life=self.lives.get(order.key))

    def _set_by(self, order: Order, asked: Ask | None) -> None:
        """Setting a stop on a stranger's position makes it ours, even if no id tells whose of ours."""
        life = self.lives.get(order.key)
        if asked is None or life is None or not order.is_stop:
            return
        if life.owner is None:
            self._unnamed -= 1
            life.owner = asked.ident.position if asked.ident is not None else self._unnamed
        elif life.owner < 0 and asked.ident is not None:
            life.owner = asked.ident.position

    def _adopt(self, order: Order, ident: Ident) -> None:
        """The first protective order of ours on a stranger's position makes it ours; any names what we had adopted.

        One that was on its way when a human turned a position of ours over protects nothing of what is there now.
        """
        life = self.lives.get(order.key)
        if life is None or not order.closes(life.side):
            return
        if (life.owner is None and ident.kind != EXIT) or (life.owner is not None and life.owner < 0):
            life.owner = ident.position

    def _ended_by(self, order: Order, line: OrderLine | AlgoLine) -> By:
        if line.status in _BY_EXCHANGE:
            return By.EXCHANGE
        if line.status != "CANCELED":
            return By.DONE
        order.cancel_asked = self._authors.of_cancel(line, order.accepted.seq)
        return By.OUTSIDER if order.cancel_asked is None else By.US

    def _fill(self, line: FillLine) -> Iterator[Fact]:
        if line.trade_id in self._trades:
            yield Repeated(line=line)
            return
        self._trades.add(line.trade_id)
        key = (line.symbol, line.position_side)
        self._touched.add(key)
        self.last_fill_seq[key] = line.seq
        order = self.orders.get(f"order {line.order_id}")
        signed = line.quantity if line.side == "BUY" else -line.quantity
        before = self.quantity.get(key, ZERO)
        after = before + signed
        self.quantity[key] = after
        life = self.lives.get(key)
        if life is None:
            life = self._begin(key, line, order, 1 if signed > 0 else -1)
        _count(life, line, abs(signed) if before * signed >= 0 else ZERO, min(abs(signed), abs(before)))
        yield Filled(line=line, order=order, before=before, after=after, life=life)
        if before * signed < 0 and before * after <= 0:
            yield self._over(key, line, _ending(order))
            if after:
                self._begin(key, line, order, 1 if after > 0 else -1)

    def _begin(self, key: Key, line: FillLine | PositionLine, order: Order | None, side: int) -> Life:
        life = Life(key=key, side=side, began=line)
        if order is not None and order.ident is not None and order.ident.kind == ENTRY:
            life.owner = order.ident.position
        self.lives[key] = life
        return life

    def _over(self, key: Key, line: FillLine | PositionLine, by: str) -> Fact:
        life = self.lives.pop(key)
        life.ended, life.ended_by = line, by
        self.past.append(life)
        return LifeOver(life=life)

    def _position(self, line: PositionLine) -> Iterator[Fact]:
        key = (line.symbol, line.position_side)
        expected = self.quantity.get(key, ZERO)
        if line.quantity == expected:
            return
        yield Mismatch(line=line, expected=expected)
        self._touched.add(key)
        self.quantity[key] = line.quantity
        if key in self.lives and line.quantity * self.lives[key].side <= 0:
            yield self._over(key, line, "unexplained")
        if line.quantity and key not in self.lives:
            self._begin(key, line, None, 1 if line.quantity > 0 else -1)


def _count(life: Life, line: FillLine, entered: Decimal, left: Decimal) -> None:
    life.trades.append(line)
    life.fees += line.fee
    life.realized += line.realized_pnl
    if entered:
        life.entered += entered
        life.entered_notional += entered * line.price
    else:
        life.left += left
        life.left_notional += left * line.price


def _ending(order: Order | None) -> str:
    if order is None:
        return "unexplained"
    if order.kind:
        return {"s": "stop", "t": "take-profit", "x": "exit", "e": "entry"}[order.kind]
    return {"liquidation": "liquidation", "algo": "stranger's stop"}.get(order.latest.origin, "outsider")
