"""S13: what we send is sane (LAWS.md has the wording). A request is judged when it comes in, taken or not.

The clause about the liquidation price is not judged here: a timeline does not hold that price.
"""

from __future__ import annotations

import re
from decimal import Decimal

from tests.oracle.asks import Ask, What, is_zero
from tests.oracle.book import Book
from tests.oracle.court import Court
from tests.oracle.facts import Answered, Asked
from tests.oracle.law import Ears, Law
from tests.oracle.measures import Measures

_PLAIN_DECIMAL = re.compile(r"\d+(\.\d+)?")
# Its timestamp is outside of the receive window: Binance, Bybit.
_OUT_OF_TIME = frozenset({-1021, 10002})


class SaneOrders(Law):
    """S13. Positive plain decimals on tick and step; a trigger on its side of the mark and not absurdly far.

    A stop's side is the adverse one, a take-profit's the favourable one, as an order and on the position itself.
    Excuses, of the side alone: nobody had told us a mark since we, or the exchange, were away; or the exchange refused
    it for its age, so that it was sent before any mark that is looked at here. The answer tells: it is waited for.
    """

    name = "S13"

    def __init__(self, book: Book, court: Court, measures: Measures) -> None:
        super().__init__(book, court, measures)
        self._wrong_sides: dict[int, list[tuple[Ask, str]]] = {}

    def hears(self) -> Ears:
        return {Asked: self._asked, Answered: self._answered}

    def over(self) -> None:
        for request in tuple(self._wrong_sides):
            self._bring(request)

    def _asked(self, fact: Asked) -> None:
        if fact.ask.what.trades:
            for fault in self._faults(fact.ask):
                self._breached(fact.ask, fault)

    def _answered(self, fact: Answered) -> None:
        if fact.line.code not in _OUT_OF_TIME:
            self._bring(fact.line.request)
            return
        for _ in self._wrong_sides.pop(fact.line.request, ()):
            self.court.excuse(self.name, "refused for its age: it was sent before the marks that are known here")

    def _bring(self, request: int) -> None:
        for ask, fault in self._wrong_sides.pop(request, ()):
            self._breached(ask, fault)

    def _breached(self, ask: Ask, fault: str) -> None:
        self.breach(ask.line.t, str(ask.symbol), fault, ask.line)

    def _faults(self, ask: Ask) -> list[str]:
        faults = self._figures(ask)
        if faults:
            return faults
        if ask.what is What.PLACE and ask.conditional:
            if ask.trigger is None:
                return ["a conditional order without a trigger price"]
            faults += self._place(ask, Decimal(str(ask.trigger)), below=ask.buys is ask.takes_profit)
        elif ask.what is What.AMEND and ask.trigger is not None:
            order = next((o for name in ask.names if (o := self.book.by_name(name)) is not None), None)
            if order is not None:
                sells, profit = order.latest.side == "SELL", "TAKE_PROFIT" in order.latest.type
                faults += self._place(ask, Decimal(str(ask.trigger)), below=sells is not profit)
        long = self._is_long(ask)
        for leg, profit in ((ask.stop_loss, False), (ask.take_profit, True)):
            if leg is not None and not is_zero(leg) and long is not None:
                faults += self._place(ask, Decimal(str(leg)), below=long is not profit)
        return faults

    def _figures(self, ask: Ask) -> list[str]:
        filters = self.court.terms.filters.get(str(ask.symbol))
        faults = []
        if ask.what is What.PLACE and ask.quantity is None and not ask.whole:
            faults.append("no quantity")
        figures = (
            ("quantity", None if ask.whole else ask.quantity, "step"),
            ("triggerPrice", ask.trigger, "tick"),
            ("price", ask.price, "tick"),
            ("stopLoss", ask.stop_loss, "tick"),
            ("takeProfit", ask.take_profit, "tick"),
        )
        for name, value, unit in figures:
            if value is None or (name in ("stopLoss", "takeProfit") and is_zero(value)):
                continue
            if not isinstance(value, str) or not _PLAIN_DECIMAL.fullmatch(value) or not Decimal(value):
                faults.append(f"{name}={value!r} is no positive plain decimal")
            elif filters is not None and Decimal(value) % getattr(filters, unit):
                faults.append(f"{name}={value} is off the {unit} {getattr(filters, unit)}")
        return faults

    def _is_long(self, ask: Ask) -> bool | None:
        """Whether the position that legs are attached to is a long one; None if nobody can tell."""
        if ask.what is What.PLACE:
            return ask.buys
        life = self.book.lives.get(ask.key)
        return None if life is None else life.side > 0

    def _place(self, ask: Ask, trigger: Decimal, *, below: bool) -> list[str]:
        marks = self.book.recent_marks(str(ask.symbol))
        if not marks:
            return []
        faults = []
        # The mark may move while the request is under way: wrong is what no mark of the last two seconds allowed.
        if trigger >= max(marks) if below else trigger <= min(marks):
            why = self.court.away_at(self.book.now)
            if why is None:
                wrong = f"trigger {trigger} is on the wrong side of the marks {min(marks)}..{max(marks)}"
                self._wrong_sides.setdefault(ask.line.id, []).append((ask, wrong))
            else:
                self.court.excuse(self.name, f"no mark was known after: {why}")
        distance = abs(trigger / marks[-1] - 1) * 100
        if distance > self.court.terms.farthest_stop_pct:
            faults.append(f"trigger {trigger} is {distance:.1f} % from the mark {marks[-1]}")
        return faults
