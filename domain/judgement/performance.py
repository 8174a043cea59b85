"""How an account does: one snapshot of its money and positions, and the figures of a day (UTC). Pure.

Rules of this file: money is what the exchange says (wallet, equity, the executions' own gains and fees), nothing is
worked out anew that it has told. What counts as opened, closed and won says `persistence.counted`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, localcontext

from domain.entries.funds import Funds
from domain.instrument import MONEY
from domain.position import ledger
from domain.position.state import Position
from domain.records import DayMetric, Performance

ZERO = Decimal(0)
HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day of an account, as far as it is written: its executions, and the positions that ended in it."""

    realized_pnl: Decimal = ZERO
    fees: Decimal = ZERO
    fees_apart: Mapping[str, Decimal] = field(default_factory=dict)
    """By coin, what is not in `fees`."""
    volume: Decimal = ZERO
    opened: int = 0
    closed: int = 0
    won: int = 0
    unprotected_seconds: Decimal = ZERO
    max_drawdown_percent: Decimal = ZERO
    """The deepest of its snapshots so far."""


def drawdown_percent(equity: Decimal, peak: Decimal) -> Decimal:
    """How far the equity is below its peak, in percent of that."""
    if peak <= 0 or equity >= peak:
        return ZERO
    with localcontext(MONEY):
        return (peak - equity) / peak * HUNDRED


def snapshot(
    account: str, at: datetime, funds: Funds, owned: Iterable[Position], day: Day, peak: Decimal
) -> Performance:
    """The account now. `owned` know their newest mark price; one without any is worth its entry price."""
    held = [p for p in owned if ledger.exposure(p) > 0]
    with localcontext(MONEY):
        exposure = sum((ledger.exposure(p) * (p.mark_price or ledger.entry_price(p) or ZERO) for p in held), ZERO)
        unrealized = funds.equity - funds.wallet
    return Performance(
        account=account,
        taken_at=at,
        balance=funds.wallet,
        equity=funds.equity,
        exposure=exposure,
        open_positions=len(held),
        realized_pnl=day.realized_pnl,
        unrealized_pnl=unrealized,
        fees=day.fees,
        drawdown_percent=drawdown_percent(funds.equity, peak),
    )


def day_metrics(account: str, day: date, figures: Day, now: Performance | None, peak: Decimal) -> tuple[DayMetric, ...]:
    """The figures of a day; `now`: the newest snapshot, if it is of that day."""
    with localcontext(MONEY):
        values: dict[str, Decimal] = {
            "realized_pnl": figures.realized_pnl,
            "fees": figures.fees,
            "net_pnl": figures.realized_pnl - figures.fees,
            "volume": figures.volume,
            "opened": Decimal(figures.opened),
            "closed": Decimal(figures.closed),
            "won": Decimal(figures.won),
            "unprotected_seconds": figures.unprotected_seconds,
            "max_drawdown_percent": max(figures.max_drawdown_percent, now.drawdown_percent if now else ZERO),
        }
        values |= {f"fees_{coin.lower()}": amount for coin, amount in figures.fees_apart.items()}
        if figures.closed:
            values["win_rate_percent"] = HUNDRED * figures.won / figures.closed
    if now is not None:
        values |= {"balance": now.balance, "equity": now.equity, "peak_equity": peak}
    return _rows(account, day, values)


def _rows(account: str, day: date, values: Mapping[str, Decimal]) -> tuple[DayMetric, ...]:
    return tuple(DayMetric(account=account, day=day, metric=name, value=value) for name, value in values.items())
