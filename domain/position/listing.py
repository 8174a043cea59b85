"""The venue's list of all executions since the opening: by it alone a life may have been over before the last of them.

Rules of this file. Streams and readings may be silent from our last execution on until a human has opened there again:
then the size that a reading shows is his. Only a whole list tells, and only where nothing else was ever believed: what
was adopted, or corrected by a reading, has no list from its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from domain.identity import parse_client_id
from domain.orders import Fill
from domain.position import ledger
from domain.position.state import ZERO, Position


def over_at(p: Position, fills: Iterable[Fill]) -> datetime | None:
    """When it came to nothing, if what was executed after that is none of ours; None: the list does not say so."""
    sent = (*p.exits, p.entry) if p.entry is not None else p.exits
    if p.entry is None or any(not order.state.over for order in sent):
        return None
    if p.over_at is not None or p.adopted_quantity or p.adjustment or ledger.book(p) > 0:
        return None
    listed = sorted((f for f in fills if f.position_side in (None, p.side)), key=lambda f: f.at)
    if any(sum(f.quantity for f in listed if f.exchange_id == known.exchange_id) < known.filled for known in p.fills):
        return None
    held, over = ZERO, None
    for fill in listed:
        if over is not None and _ours(p, fill):
            return None
        if ledger.concerns(p, fill.client_id, fill.exchange_id, fill.at):
            held += fill.quantity if fill.side is p.side.opening else -fill.quantity
            over = over or (fill.at if held <= 0 else None)
    return over


def _ours(p: Position, fill: Fill) -> bool:
    ours = parse_client_id(fill.client_id)
    return ledger.triggered(p, fill.exchange_id) or (ours is not None and ours.position_id == p.id)
