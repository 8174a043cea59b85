"""Who caused a change at the exchange: the request that its line names, else the last of ours that named the order.

Rules of this file: a log that names the requests behind its lines is believed, and what it names none for was not us.
A log that never does is read by what our requests named since the order was accepted; one that the venue refused
caused nothing.
"""

from __future__ import annotations

from collections import OrderedDict

from tests.oracle.asks import Ask, What, is_zero
from tests.oracle.reader import AlgoLine, OrderLine

KEPT = 20_000
_CONDITIONAL_ONLY = ("algoOpenOrders", "StopOrder")


class Authors:
    """The requests of ours that may still explain something."""

    def __init__(self) -> None:
        self.stamped = False
        self._asks: OrderedDict[int, Ask] = OrderedDict()
        self._named: dict[tuple[What, str], Ask] = {}
        self._all: dict[tuple[str, bool], Ask] = {}
        self._attached: dict[tuple[str, str], Ask] = {}

    def note(self, ask: Ask) -> None:
        """A request came in (questions change nothing and are not kept)."""
        if ask.what is What.QUESTION:
            return
        self._asks[ask.line.id] = ask
        if len(self._asks) > KEPT:
            self._asks.popitem(last=False)
        if ask.outsider:
            return
        for name in ask.names:
            self._named[ask.what, name] = ask
        if ask.what is What.CANCEL_ALL:
            for conditional in _cancelled_sorts(ask):
                self._all[str(ask.symbol), conditional] = ask
        elif ask.what is What.ATTACH:
            self._attached[ask.key] = ask

    def refused(self, ask: Ask) -> None:
        """The venue refused it: whatever happens to these orders later is somebody else's doing."""
        for name in ask.names:
            if self._named.get((ask.what, name)) is ask:
                del self._named[ask.what, name]
        for known in [key for key, asked in self._all.items() if asked is ask]:
            del self._all[known]
        if self._attached.get(ask.key) is ask:
            del self._attached[ask.key]

    def of_cancel(self, line: OrderLine | AlgoLine, since: int) -> Ask | None:
        """Our request that took an order away which was accepted with line `since`; None: it was not us."""
        if self.stamped:
            return self._stamp(line)
        asked = self._find(What.CANCEL, line) or self._all.get((line.symbol, isinstance(line, AlgoLine)))
        if asked is None and isinstance(line, AlgoLine) and line.attached:
            asked = self._attached.get((line.symbol, line.position_side))
            if asked is not None and not is_zero(_leg(asked, line)):
                asked = None
        return asked if asked is not None and asked.line.seq > since else None

    def of_change(self, line: AlgoLine, since: int) -> Ask | None:
        """Our request that set a conditional or changed it in place; None: it was not us."""
        if self.stamped:
            return self._stamp(line)
        asked = self._find(What.AMEND, line)
        if asked is None and line.attached:
            asked = self._attached.get((line.symbol, line.position_side))
            if asked is not None and str(_leg(asked, line)) != f"{line.trigger:f}":
                asked = None
        return asked if asked is not None and asked.line.seq > since else None

    def _stamp(self, line: OrderLine | AlgoLine) -> Ask | None:
        named = None if line.request is None else self._asks.get(line.request)
        return None if named is None or named.outsider else named

    def _find(self, what: What, line: OrderLine | AlgoLine) -> Ask | None:
        if isinstance(line, AlgoLine):
            names = (f"algo {line.algo_id}", f"algo {line.client_id}")
        else:
            names = (f"order {line.order_id}", f"order {line.client_id}")
        return next((ask for name in names if (ask := self._named.get((what, name))) is not None), None)


def _leg(ask: Ask, line: AlgoLine) -> object:
    return ask.take_profit if "TAKE_PROFIT" in line.type else ask.stop_loss


def _cancelled_sorts(ask: Ask) -> tuple[bool, ...]:
    """Which orders a cancel-all takes: conditional (True), ordinary (False) or both (Bybit without a filter)."""
    if ask.line.path.startswith("/v5/"):
        return (True,) if ask.line.params.get("orderFilter") in _CONDITIONAL_ONLY else (True, False)
    return (ask.line.path.endswith(_CONDITIONAL_ONLY[0]),)
