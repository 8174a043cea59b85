"""The sums of a replay, for each order of a bar's extremes: between the two lies what really happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext

from actors.replay.session import OPEN, ZERO, Replayed
from adapters.paper_exchange.tape import BarOrder
from domain.instrument import MONEY
from domain.position.state import CloseReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Of one bar order. `win_pct` is of the closed ones; `best`, `worst` and `mean` are per cent after fees."""

    bar_order: BarOrder
    positions: int
    unopened: int
    closed: int
    still_open: int
    stopped: int
    trailed: int
    taken: int
    other: int
    moves: int
    win_pct: Decimal | None
    pnl: Decimal
    fees: Decimal
    best_pct: Decimal | None
    worst_pct: Decimal | None
    mean_pct: Decimal | None
    unprotected_ms: int


def totals(rows: Iterable[Replayed]) -> list[Totals]:
    """One for each bar order that was replayed, in their order of appearance."""
    by_order: dict[BarOrder, list[Replayed]] = {}
    for row in rows:
        by_order.setdefault(row.bar_order, []).append(row)
    return [_of(bar_order, found) for bar_order, found in by_order.items()]


def _of(bar_order: BarOrder, rows: list[Replayed]) -> Totals:
    opened = [row for row in rows if row.entry_price is not None]
    closed = [row for row in opened if row.reason != OPEN]
    reasons = Counter(row.reason for row in closed)
    stopped, trailed = reasons[CloseReason.STOP_LOSS.value], reasons[CloseReason.TRAILING_STOP.value]
    taken = reasons[CloseReason.TAKE_PROFIT.value]
    percents = [row.pnl_pct for row in opened]
    with localcontext(MONEY):
        mean = sum(percents, ZERO) / len(percents) if percents else None
        wins = Decimal(100 * sum(row.pnl > 0 for row in closed)) / len(closed) if closed else None
    return Totals(
        bar_order=bar_order,
        positions=len(opened),
        unopened=len(rows) - len(opened),
        closed=len(closed),
        still_open=len(opened) - len(closed),
        stopped=stopped,
        trailed=trailed,
        taken=taken,
        other=len(closed) - stopped - trailed - taken,
        moves=sum(row.moves for row in opened),
        win_pct=wins,
        pnl=sum((row.pnl for row in opened), ZERO),
        fees=sum((row.fees for row in opened), ZERO),
        best_pct=max(percents, default=None),
        worst_pct=min(percents, default=None),
        mean_pct=mean,
        unprotected_ms=max((row.unprotected_ms for row in opened), default=0),
    )
