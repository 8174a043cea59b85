"""The average price of what is open, where the venue's word on it and the executions we know of do not say the same.

They part company for good reasons (reduced and enlarged by hand: the venue averages what is left, executions all that
was ever opened) and for bad ones (an execution that nobody heard of). So the executions are asked for first; what they
do not explain in the next reading is taken over from the venue, for as long as the position is not enlarged again.
Profit, break-even and trailing go by it; the book of a closed position goes by executions alone.
"""

from __future__ import annotations

from decimal import Decimal

from domain.catalogue import EventType
from domain.orders import PositionReport
from domain.position import ledger
from domain.position.state import Position
from domain.position.turn import Turn

TOLERANCE_PCT = Decimal("0.05")
"""Venues round averages in their own ways; the smallest step of a trailing stop is as much, so less moves nothing."""


def differs(p: Position, shown: Decimal) -> bool:
    """Whether the venue's average price is another than ours: by more than a tick, and by more than the tolerance."""
    price = ledger.entry_price(p)
    if price is None:
        return False
    return abs(shown - price) > max(p.instrument.tick, price * TOLERANCE_PCT / 100)


def hear(turn: Turn, report: PositionReport) -> None:
    """What a reading that is newer than our last activity says of the average price, once the sizes agree."""
    p = turn.position
    shown = report.entry_price
    if shown is None or not ledger.agreed(p) or ledger.book(p) <= 0:
        return
    if not differs(p, shown):
        if p.entry_doubted is not None:
            turn.note(entry_doubted=None)
    elif p.entry_doubted != shown:
        turn.note(entry_doubted=shown)
        ledger.ask_fills(turn)
    else:
        turn.say(
            EventType.ENTRY_PRICE_CORRECTED,
            {"symbol": p.symbol, "book": ledger.entry_price(p), "exchange": shown, "seen": "2/2"},
        )
        turn.set(entry_shown=shown, entry_doubted=None)
