"""What passed between two lines of the exchange's timeline, in whole milliseconds of its own clock.

Rules of this file: nothing that Holdfast says of itself is read. A stop's request is the placing of a stop of ours
(Binance) or the setting of the position's stop (Bybit); it is counted when it arrives, before any answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.oracle.asks import What, read_ask
from tests.oracle.ours import STOP
from tests.oracle.reader import AlgoLine, AnyLine, ControlLine, PriceLine, ReplyLine, RequestLine


@dataclass(slots=True, kw_only=True)
class MoveTimes:
    """Of each mark price that a test set: until the first stop request for its symbol came, and until one was granted.

    `unanswered`: prices after which no stop moved before the next price of the symbol.
    """

    requested: list[int] = field(default_factory=list)
    granted: list[int] = field(default_factory=list)
    unanswered: int = 0


@dataclass(slots=True, kw_only=True)
class _Price:
    at: int
    requested: int | None = None


def move_times(lines: Iterable[AnyLine], since: int, until: int) -> MoveTimes:
    """The moves that prices set by a test between `since` and `until` (ms) brought about."""
    times = MoveTimes()
    ordered: set[str] = set()
    prices: dict[str, _Price] = {}
    asked: dict[int, _Price] = {}
    for line in lines:
        if isinstance(line, ControlLine) and line.command == "price" and not line.refused:
            ordered.add(str(line.asked.get("symbol")))
        elif isinstance(line, PriceLine) and line.symbol in ordered:
            ordered.discard(line.symbol)
            before = prices.pop(line.symbol, None)
            times.unanswered += before is not None and before.requested is None
            if since <= line.t < until:
                prices[line.symbol] = _Price(at=line.t)
        elif isinstance(line, RequestLine):
            price = prices.get(_symbol_of_move(line))
            if price is not None and price.requested is None:
                price.requested = line.t
                times.requested.append(line.t - price.at)
                asked[line.id] = price
        elif isinstance(line, ReplyLine) and line.granted:
            price = asked.pop(line.request, None)
            if price is not None:
                times.granted.append(line.t - price.at)
    times.unanswered += sum(price.requested is None for price in prices.values())
    return times


def stops_accepted(lines: Iterable[AnyLine], since: int) -> dict[str, int]:
    """When (ms) the first stop of each symbol was accepted after a time."""
    accepted: dict[str, int] = {}
    for line in lines:
        if isinstance(line, AlgoLine) and line.t >= since and line.status == "NEW":
            accepted.setdefault(line.symbol, line.t)
    return accepted


def questions(lines: Iterable[AnyLine], since: int) -> list[int]:
    """When (ms) the answers to questions about orders and positions were given, after a time."""
    open_: set[int] = set()
    answered: list[int] = []
    for line in lines:
        if line.t < since:
            continue
        if isinstance(line, RequestLine) and read_ask(line).what is What.QUESTION:
            open_.add(line.id)
        elif isinstance(line, ReplyLine) and line.request in open_:
            open_.discard(line.request)
            answered.append(line.t)
    return answered


def _symbol_of_move(line: RequestLine) -> str:
    ask = read_ask(line)
    sets = ask.what is What.ATTACH and ask.stop_loss is not None
    places = ask.what is What.PLACE and ask.conditional and ask.ident is not None and ask.ident.kind == STOP
    return str(ask.symbol) if sets or places else ""
