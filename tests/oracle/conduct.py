"""The laws about what we send: S7 to S9, S13, S15, and the book's own consistency (LAWS.md has the wording).

Rules of this file: a request is judged when it comes in, whether or not the exchange takes it; an order when accepted.
"""

from __future__ import annotations

import re
from collections import deque
from decimal import Decimal

from tests.oracle.book import Book
from tests.oracle.court import Court
from tests.oracle.facts import (
    ZERO,
    Accepted,
    Answered,
    Asked,
    By,
    Ended,
    Filled,
    Mismatch,
    Order,
    Repeated,
)
from tests.oracle.law import Ears, Law
from tests.oracle.measures import Measures
from tests.oracle.ours import ENTRY, EXIT, STOP, TAKE_PROFIT
from tests.oracle.reader import OrderLine, RequestLine

RECEIVE_WINDOW_MS = 2_000
_PLAIN_DECIMAL = re.compile(r"\d+(\.\d+)?")
_HANDS_OFF = ("marginType", "positionSide/dual", "positionMargin", "multiAssetsMargin", "countdownCancelAll")
_MINUTE_MS = 60_000
_TEN_SECONDS_MS = 10_000
# Weights of Binance USD-M, by the end of the path; with a symbol, and without one where that costs more.
_WEIGHTS = {
    "openOrders": (1, 40),
    "openAlgoOrders": (1, 40),
    "ticker/24hr": (1, 40),
    "ticker/bookTicker": (2, 5),
    "premiumIndex": (1, 10),
    "positionSide/dual": (30, 30),
    "income": (30, 30),
    "allOrders": (5, 5),
    "allAlgoOrders": (5, 5),
    "userTrades": (5, 5),
    "positionRisk": (5, 5),
    "account": (5, 5),
    "balance": (5, 5),
    "klines": (5, 5),
    "markPriceKlines": (5, 5),
    "depth": (5, 5),
}


class AtMostOnce(Law):
    """S7. A client id is accepted once, a position has one entry order, an execution happens once."""

    name = "S7"

    def __init__(self, book: Book, court: Court, measures: Measures) -> None:
        super().__init__(book, court, measures)
        self._ids: dict[str, Order] = {}
        self._entries: dict[int, Order] = {}

    def hears(self) -> Ears:
        return {Accepted: self._accepted, Repeated: self._repeated}

    def _accepted(self, fact: Accepted) -> None:
        order = fact.order
        if order.ident is None or order.parent is not None:
            return
        line = order.accepted
        first = self._ids.setdefault(line.client_id, order)
        if first is not order:
            self.breach(line.t, line.symbol, f"{line.client_id} was accepted twice", first.accepted, line)
        elif order.ident.kind == ENTRY:
            entry = self._entries.setdefault(order.ident.position, order)
            if entry is not order:
                self.breach(line.t, line.symbol, "a second entry for one position", entry.accepted, line)

    def _repeated(self, fact: Repeated) -> None:
        self.breach(fact.line.t, fact.line.symbol, f"execution {fact.line.trade_id} was reported twice", fact.line)


class OneWriter(Law):
    """S8. Epochs never go backwards for a position, terms never for an account; a position has one owner.

    Excuse: what was on the wire within the receive window at a take-over.
    """

    name = "S8"

    def __init__(self, book: Book, court: Court, measures: Measures) -> None:
        super().__init__(book, court, measures)
        self._epochs: dict[int, tuple[tuple[int, int], Order]] = {}
        self._term: tuple[int, Order] | None = None

    def hears(self) -> Ears:
        return {Accepted: self._accepted}

    def _accepted(self, fact: Accepted) -> None:
        order = fact.order
        if order.ident is None or order.parent is not None:
            return
        ident, line = order.ident, order.accepted
        known = self._epochs.get(ident.position)
        if known is not None and ident.epoch < known[0]:
            self._backwards(f"epoch {known[0]} -> {ident.epoch} of one position", known[1], order)
        else:
            self._epochs[ident.position] = (ident.epoch, known[1] if known and known[0] == ident.epoch else order)
            if self._term is not None and ident.term < self._term[0]:
                self._backwards(f"term {self._term[0]} -> {ident.term} of the account", self._term[1], order)
            elif self._term is None or ident.term > self._term[0]:
                self._term = (ident.term, order)
        life = fact.life
        if ident.kind == ENTRY and life is not None and life.owner not in (None, ident.position):
            self.breach(line.t, line.symbol, "an entry into a position that has another owner", life.began, line)

    def _backwards(self, text: str, newer: Order, order: Order) -> None:
        if order.accepted.t - newer.accepted.t <= RECEIVE_WINDOW_MS:
            self.court.excuse(self.name, "on the wire at a take-over")
        else:
            self.breach(order.accepted.t, order.key[0], text, newer.accepted, order.accepted)


class HandsOff(Law):
    """S9. A stranger's order is not cancelled, a stranger's position not closed, an account's modes not changed.

    Excuse: the operator asked for it.
    """

    name = "S9"

    def hears(self) -> Ears:
        return {Ended: self._ended, Filled: self._filled, Answered: self._answered}

    def _ended(self, fact: Ended) -> None:
        if fact.by is By.US and fact.order.ident is None:
            self._judge(fact.order.key[0], fact.order.latest.t, "we cancelled a stranger's order", fact)

    def _filled(self, fact: Filled) -> None:
        ident = None if fact.order is None else fact.order.ident
        if ident is not None and ident.kind in (EXIT, STOP, TAKE_PROFIT) and fact.life.owner is None and fact.before:
            self._judge(fact.line.symbol, fact.line.t, "we closed a stranger's position", fact)

    def _answered(self, fact: Answered) -> None:
        request = fact.request
        if request.method == "GET" or fact.line.code is not None or fact.line.status >= 400:
            return
        symbol = str(request.params.get("symbol", ""))
        if request.path.endswith(_HANDS_OFF):
            self._judge(symbol, fact.line.t, f"we changed {request.path}", fact)
        elif request.path.endswith("/leverage") and any(key[0] == symbol for key in self.book.lives):
            self._judge(symbol, fact.line.t, "we changed the leverage of an open position", fact)

    def _judge(self, symbol: str, at: int, text: str, fact: Ended | Filled | Answered) -> None:
        if self.court.operator_asked(symbol, at):
            self.court.excuse(self.name, "an operator asked for it")
            return
        line = fact.order.latest if isinstance(fact, Ended) else fact.line
        self.breach(at, symbol, text, line)


class SaneOrders(Law):
    """S13. Positive plain decimals on tick and step; a stop on the right side of the mark and not absurdly far."""

    name = "S13"

    def hears(self) -> Ears:
        return {Asked: self._asked}

    def _asked(self, fact: Asked) -> None:
        line = fact.line
        if line.method == "POST" and not fact.outsider and line.path.endswith(("/order", "/algoOrder")):
            for fault in self._faults(line):
                self.breach(line.t, str(fact.symbol), fault, line)

    def _faults(self, line: RequestLine) -> list[str]:
        params = line.params
        symbol = str(params.get("symbol", ""))
        filters = self.court.terms.filters.get(symbol)
        faults = []
        closes_all = str(params.get("closePosition", "")).lower() == "true"
        for name, unit in (("quantity", "step"), ("triggerPrice", "tick"), ("price", "tick")):
            value = params.get(name)
            if value is None:
                if name == "quantity" and not closes_all:
                    faults.append("no quantity")
                continue
            if not isinstance(value, str) or not _PLAIN_DECIMAL.fullmatch(value) or not Decimal(value):
                faults.append(f"{name}={value!r} is no positive plain decimal")
            elif filters is not None and Decimal(value) % getattr(filters, unit):
                faults.append(f"{name}={value} is off the {unit} {getattr(filters, unit)}")
        if not faults and line.path.endswith("/algoOrder"):
            faults += self._price_faults(line, symbol)
        return faults

    def _price_faults(self, line: RequestLine, symbol: str) -> list[str]:
        raw = line.params.get("triggerPrice")
        marks = self.book.recent_marks(symbol)
        if raw is None:
            return ["a conditional order without a trigger price"]
        if not marks:
            return []
        trigger = Decimal(raw)
        sells = line.params.get("side") == "SELL"
        below = sells == ("TAKE_PROFIT" not in str(line.params.get("type")))
        faults = []
        # The mark may move while the request is under way: wrong is what no mark of the last two seconds allowed.
        if trigger >= max(marks) if below else trigger <= min(marks):
            faults.append(f"trigger {trigger} is on the wrong side of the marks {min(marks)}..{max(marks)}")
        distance = abs(trigger / marks[-1] - 1) * 100
        if distance > self.court.terms.farthest_stop_pct:
            faults.append(f"trigger {trigger} is {distance:.1f} % from the mark {marks[-1]}")
        return faults


class Budget(Law):
    """S15. Requests stay under half of the venue's limits: weight a minute, orders in ten seconds."""

    name = "S15"

    def __init__(self, book: Book, court: Court, measures: Measures) -> None:
        super().__init__(book, court, measures)
        self._weights: deque[tuple[int, int]] = deque()
        self._orders: deque[tuple[int, int]] = deque()
        self._told = -_MINUTE_MS

    def hears(self) -> Ears:
        return {Asked: self._asked}

    def _asked(self, fact: Asked) -> None:
        line = fact.line
        if fact.outsider:
            return
        self.measures.requests[f"{line.method} {line.path}"] += 1
        _slide(self._weights, line.t, _weight(line, fact.symbol), _MINUTE_MS)
        if line.method == "POST" and line.path.endswith(("/order", "/algoOrder")):
            _slide(self._orders, line.t, 1, _TEN_SECONDS_MS)
        weight, orders = sum(w for _, w in self._weights), len(self._orders)
        self.measures.most_weight = max(self.measures.most_weight, weight)
        terms = self.court.terms
        if (weight * 2 > terms.weight_limit or orders * 2 > terms.orders_per_10s) and line.t - self._told > _MINUTE_MS:
            self._told = line.t
            self.breach(line.t, "all", f"weight {weight} in a minute, {orders} orders in ten seconds", line)


class Evidence(Law):
    """The timeline agrees with itself: a position is the sum of its fills, and only a fill of an order moves it."""

    name = "LOG"

    def hears(self) -> Ears:
        return {Mismatch: self._mismatch, Filled: self._filled}

    def _mismatch(self, fact: Mismatch) -> None:
        line = fact.line
        self.breach(line.t, line.symbol, f"position {line.quantity}, its fills make {fact.expected}", line)

    def _filled(self, fact: Filled) -> None:
        order = fact.order
        if order is None:
            self.breach(fact.line.t, fact.line.symbol, "a fill of an order that was never accepted", fact.line)
        elif isinstance(order.latest, OrderLine) and ZERO < order.latest.quantity < order.latest.executed:
            self.breach(fact.line.t, fact.line.symbol, "more was executed than ordered", order.latest, fact.line)


def _weight(line: RequestLine, symbol: str | None) -> int:
    for ending, (one, every) in _WEIGHTS.items():
        if line.path.endswith(ending):
            return one if symbol else every
    return 1


def _slide(window: deque[tuple[int, int]], now: int, weight: int, length_ms: int) -> None:
    window.append((now, weight))
    while window[0][0] <= now - length_ms:
        window.popleft()
