"""What is said about zombie orders: between entry desk, admin, reconciler and gateway (see `messages`)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from domain.instrument import PositionSide
from domain.orders import AccountSnapshot, CancelOutcome, OrderRef


@dataclass(frozen=True, slots=True, kw_only=True)
class AskSymbol:
    """To a gateway: read one symbol, its open orders and (`rows`) its rows, for `reply_to`."""

    symbol: str
    reply_to: str
    rows: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolRead:
    """From a gateway: the reading of one symbol, or why there is none."""

    symbol: str
    snapshot: AccountSnapshot | None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelZombie:
    """From the reconciler to a gateway: cancel an order that is in nobody's hands, and tell `reply_to`.

    `key` is the finding's. Not carried out for what is attached to a position where one of ours is by now.
    """

    key: str
    ref: OrderRef
    reply_to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ZombieAnswered:
    """From a gateway: what became of the cancel."""

    key: str
    outcome: CancelOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionOver:
    """From the entry desk to the reconciler: a position of ours ended and has no owner any more: look at its symbol.

    `side` is None in one-way mode. `last_fill_at`: when its last execution was, by the venue.
    """

    symbol: str
    side: PositionSide | None
    reason: str
    last_fill_at: datetime | None = None

    @property
    def conflate_key(self) -> Hashable:
        """One look at a place is enough."""
        return f"over {self.symbol} {self.side}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanZombies:
    """Asked of the reconciler by the admin: hunt now. The answer is the number of the scan, None: one is under way."""

    dry_run: bool
    aggressive: bool
    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowScan:
    """Asked of the reconciler by the admin: how a scan stands."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanReport:
    """The answer: what was found and what became of it. `totals`: of all hunts on the account so far."""

    number: int
    done: bool
    asked_at: datetime | None
    orders: int
    zombies: tuple[Mapping[str, object], ...]
    totals: Mapping[str, object]
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HuntOn:
    """The hunt's own timer."""

    perishable: ClassVar[bool] = True
