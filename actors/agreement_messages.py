"""What is said of the agreement between book and exchange, beside the wishes in `messages`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.instrument import Instrument, PositionSide
from domain.orders import OrderReport


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileReport:
    """What a cycle found, for the operator.

    `repairs`: the last findings that are no more, newest last, each with its time. `doubtful`: it looks again before it
    believes something. `totals`: so many of each kind were believed since the start.
    """

    account: str
    cycle: int
    asked_at: datetime | None
    positions: int
    findings: tuple[Mapping[str, object], ...]
    error: str | None = None
    repairs: tuple[Mapping[str, object], ...] = ()
    doubtful: bool = False
    totals: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StrangerSeen:
    """From the account feed to the reconciler: the stream shows a position on a symbol where nobody owned anything."""

    symbol: str

    @property
    def conflate_key(self) -> Hashable:
        """One look answers several on a symbol."""
        return f"stranger {self.symbol}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """From the reconciler to the entry desk: a position that was read at `seen_at` without an owner is to have one.

    `bare_since`: when it was first seen, if no stop covered it: from then on its unprotected seconds count. `orders`:
    what rests on its side. `mark_at`: the venue's time of the row that told the mark price.
    """

    account: str
    instrument: Instrument
    side: PositionSide
    quantity: Decimal
    entry_price: Decimal | None
    mark_price: Decimal | None
    close: bool
    seen_at: datetime
    bare_since: datetime | None = None
    orders: tuple[OrderReport, ...] = ()
    mark_at: datetime | None = None
