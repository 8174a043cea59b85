"""The exchange's book, rebuilt from its timeline line by line: orders, positions, lives, marks, cover.

Rules of this file: it judges nothing. The signed position is the sum of the fills; the position lines must agree.
A cancelled order was cancelled by us when a request of ours named it (or all of its symbol), else by an outsider.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from decimal import Decimal

from tests.oracle.facts import (
    ZERO,
    Accepted,
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
    Mismatch,
    Order,
    Repeated,
    StepOver,
)
from tests.oracle.ours import ENTRY, STOP, TAKE_PROFIT, identify
from tests.oracle.reader import (
    AlgoLine,
    AnyLine,
    FillLine,
    OrderLine,
    PositionLine,
    PriceLine,
    ReplyLine,
    RequestLine,
    SessionLine,
)

CONTROL = "/control"
MARKS_KEPT_MS = 2_000
_OVER = frozenset({"CANCELED", "EXPIRED", "REJECTED", "FINISHED", "FILLED", "EXPIRED_IN_MATCH"})
_BY_EXCHANGE = frozenset({"EXPIRED", "REJECTED", "EXPIRED_IN_MATCH"})
_CANCEL_ALL = ("algoOpenOrders", "allOpenOrders")


class Book:
    """State of one account at the exchange, as far as the laws ask about it."""

    def __init__(self) -> None:
        self.now = 0
        self.orders: dict[str, Order] = {}
        self.resting: dict[Key, list[Order]] = {}
        self.quantity: dict[Key, Decimal] = {}
        self.lives: dict[Key, Life] = {}
        self.past: list[Life] = []
        self.marks: dict[str, deque[tuple[int, Decimal]]] = {}
        self.requests: dict[int, RequestLine] = {}
        self.last_fill_seq: dict[Key, int] = {}
        self._trades: set[str] = set()
        self._cancels: dict[str, RequestLine] = {}
        self._cancel_all: dict[tuple[str, str], RequestLine] = {}
        self._touched: set[Key] = set()

    # Questions

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

    def stop_in_force(self, key: Key) -> Decimal | None:
        """E: the trigger that would be touched first, of stops that rest."""
        triggers = [order.trigger for order in self.stops(key) if order.live]
        if not triggers:
            return None
        return max(triggers) if self.lives[key].side > 0 else min(triggers)

    def our_live_stops(self, position: int) -> list[Order]:
        """The resting stops of one position id of ours."""
        return [o for o in self._all_resting() if o.live and o.our_stop and o.ident and o.ident.position == position]

    def our_live_orders(self, position: int) -> list[Order]:
        """Every resting order of one position id of ours."""
        return [o for o in self._all_resting() if o.live and o.ident and o.ident.position == position]

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
                request = self.requests.pop(line.request, None)
                if request is not None:
                    yield Answered(line=line, request=request)
            case OrderLine() | AlgoLine():
                yield from self._order(line)
            case FillLine():
                yield from self._fill(line)
            case PositionLine():
                yield from self._position(line)
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
        symbol = line.params.get("symbol")
        outsider = line.path.startswith(CONTROL)
        if line.method != "GET" and not outsider:
            self.requests[line.id] = line
        if line.method == "DELETE" and not outsider:
            what = line.path.rsplit("/", 1)[-1]
            if what in _CANCEL_ALL:
                self._cancel_all[str(symbol), what] = line
            sort = "algo" if "algo" in what.lower() else "order"
            for name in ("algoId", "clientAlgoId", "orderId", "origClientOrderId"):
                if line.params.get(name):
                    self._cancels[f"{sort} {line.params[name]}"] = line
        return Asked(line=line, symbol=symbol, outsider=outsider)

    def _order(self, line: OrderLine | AlgoLine) -> Iterator[Fact]:
        conditional = isinstance(line, AlgoLine)
        name = f"algo {line.algo_id}" if conditional else f"order {line.order_id}"  # type: ignore[union-attr]
        key = (line.symbol, line.position_side)
        self._touched.add(key)
        order = self.orders.get(name)
        if order is None:
            order = Order(key=key, accepted=line, latest=line, ident=identify(line.client_id))
            self.orders[name] = order
            self.resting.setdefault(key, []).append(order)
            if isinstance(line, OrderLine) and line.algo_id is not None:
                order.parent = self.orders.get(f"algo {line.algo_id}")
            if order.parent is not None:
                order.parent.child = order
                order.ident = order.parent.ident
            elif order.ident is not None and order.ident.kind in (STOP, TAKE_PROFIT):
                self._adopt(key, order.ident.position)
            if line.status not in _OVER or line.status in ("FILLED", "FINISHED"):
                yield Accepted(order=order, life=self.lives.get(key))
            was_live = False
        else:
            was_live = order.live
            order.latest = line
        if order.firing and order.triggering_at is None:
            order.triggering_at = line.t
            yield Fired(order=order, life=self.lives.get(key))
        if line.status in _OVER:
            self.resting[key].remove(order)
            yield Ended(order=order, by=self._ended_by(order, line), was_live=was_live, life=self.lives.get(key))

    def _adopt(self, key: Key, position: int) -> None:
        """The first protective order of ours on a stranger's position makes it ours."""
        life = self.lives.get(key)
        if life is not None and life.owner is None:
            life.owner = position

    def _ended_by(self, order: Order, line: OrderLine | AlgoLine) -> By:
        if line.status in _BY_EXCHANGE:
            return By.EXCHANGE
        if line.status != "CANCELED":
            return By.DONE
        sort, exchange_id = ("algo", line.algo_id) if isinstance(line, AlgoLine) else ("order", line.order_id)
        asked = self._cancels.get(f"{sort} {exchange_id}") or self._cancels.get(f"{sort} {line.client_id}")
        if asked is None:
            asked = self._cancel_all.get((line.symbol, _CANCEL_ALL[0] if sort == "algo" else _CANCEL_ALL[1]))
        if asked is None or asked.seq < order.accepted.seq:
            return By.OUTSIDER
        order.cancel_asked = asked
        return By.US

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
    if order.ident is not None:
        return {"s": "stop", "t": "take-profit", "x": "exit", "e": "entry"}[order.ident.kind]
    return {"liquidation": "liquidation", "algo": "stranger's stop"}.get(order.latest.origin, "outsider")
