"""What a gateway's work costs at the venue. Pure; weights are Binance's, the highest of the venues."""

from __future__ import annotations

from datetime import datetime

from actors.budget import Cost
from actors.candle_questions import page_weight, weight_since
from actors.messages import Perform
from adapters.exchange.interface import Errand
from domain.orders import OrderRef, Priority
from domain.position.effects import AskCandles, AskFills, AskPosition, Cancel, Find, Place

FUNDS = Cost(weight=5)
CHECK = Cost(weight=60, requests=7)
UPKEEP = Cost(weight=5)
QUOTE = Cost(weight=2)
MARK = Cost()
LEVERAGE = Cost()
SYMBOL = Cost(weight=7, requests=3)  # rows and open orders of one symbol
SYMBOL_ORDERS = Cost(weight=2, requests=2)
QUESTION = Cost(weight=5)  # one position
_FILLS = Cost(weight=5, requests=2)  # executions, and on Bybit the profits of them
_ROW = Cost()
_FIND = Cost(requests=2)  # orders that are open, and on Bybit, if it is none of them, those that were
_READING_WEIGHT = 85
_PAGE_OF_ORDERS = 50  # the shortest page that a venue gives


def reading(owned: int) -> Cost:
    """A reading of the account: positions, orders of two kinds, and their further pages."""
    return Cost(weight=_READING_WEIGHT, requests=3 + owned // _PAGE_OF_ORDERS)


def left_out(symbols: int) -> Cost:
    """Positions of ours that the list of a reading left out, each asked for by its symbol."""
    return Cost(weight=QUESTION.weight * symbols, requests=symbols)


def zombie(ref: OrderRef) -> Cost:
    """The cancel of an order that is in nobody's hands."""
    return Cost(Errand.ATTACH if ref.attached else Errand.CANCEL)


def page(count: int) -> Cost:
    """One page of so many candles."""
    return Cost(weight=page_weight(count))


def candles_since(since: datetime, now: datetime) -> Cost:
    """All pages of one-minute candles from a time on."""
    return Cost(weight=weight_since(since, now))


def of(request: Perform) -> Cost:
    """What an owner wants done."""
    match request.effect:
        case Place(intent=intent):
            if intent.attached:
                return Cost(Errand.ATTACH)
            return Cost(Errand.PLACE if intent.replaces is None else Errand.AMEND)
        case Cancel(ref=ref):
            return Cost(Errand.ATTACH if ref.attached else Errand.CANCEL)
        case AskCandles(since=since):
            return candles_since(since, request.asked_at)
        case AskFills():
            return _FILLS
        case AskPosition():
            return QUESTION
        case Find(ref=ref):
            return _ROW if ref.attached else _FIND


def priority(request: Perform) -> Priority:
    """How it ranks; a move ranks lower than the protection that it is elsewhere (`urgency`)."""
    match request.effect:
        case Place(intent=intent):
            return intent.priority
        case Cancel():
            return Priority.CLOSING
        case _:
            return Priority.QUERY
