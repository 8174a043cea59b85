"""Snapshots and days of an account, from what the exchange says."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from domain.entries.funds import Funds
from domain.judgement.performance import Day, day_metrics, drawdown_percent, snapshot
from domain.position.state import Phase
from tests.persistence.samples import NOON, position, protected

D = Decimal
FUNDS = Funds(wallet=D(1000), equity=D("970.5"), free=D(800), read_at=NOON)
money = st.decimals("0.01", "1e9", places=2)


@given(money, money)
def test_a_drawdown_is_a_share_of_the_peak(equity: Decimal, peak: Decimal) -> None:
    down = drawdown_percent(equity, peak)
    assert 0 <= down < 100
    assert (down > 0) == (equity < peak)


def test_a_snapshot_adds_up_what_is_held() -> None:
    owned = [
        protected(1, mark_price=D(51_000)),
        position(2),  # no mark heard: worth its entry price
        position(3, fills=(), phase=Phase.PENDING_ENTRY),
    ]
    taken = snapshot("main", NOON, FUNDS, owned, Day(realized_pnl=D(-5), fees=D(2)), D(1000))
    assert (taken.balance, taken.equity, taken.unrealized_pnl) == (D(1000), D("970.5"), D("-29.5"))
    assert (taken.exposure, taken.open_positions) == (D("0.003") * 101_000, 2)
    assert (taken.realized_pnl, taken.fees, taken.drawdown_percent) == (D(-5), D(2), D("2.95"))


def test_the_figures_of_a_day() -> None:
    day = Day(realized_pnl=D(10), fees=D(3), volume=D(900), opened=5, closed=4, won=3, max_drawdown_percent=D(7))
    taken = snapshot("main", NOON, FUNDS, [], day, D(1000))
    found = {m.metric: m.value for m in day_metrics("main", NOON.date(), day, taken, D(1000))}
    assert (found["net_pnl"], found["win_rate_percent"], found["peak_equity"]) == (D(7), D(75), D(1000))
    assert found["max_drawdown_percent"] == 7
    over = {m.metric for m in day_metrics("main", date(2026, 11, 20), Day(), None, D(1000))}
    assert not over & {"win_rate_percent", "equity", "peak_equity"}, "what is not known of a day is not written"
