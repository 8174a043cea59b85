"""What the performance records are made of, out of the book: a day's executions and endings, the highest equity."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from domain.days import midnight
from domain.judgement.performance import Day
from persistence import counted
from persistence.pool import ReadPool


def day_of(pool: ReadPool, account: str, day: date) -> Day:
    """A day (UTC) of an account as far as it is written. Raises DatabaseAway."""
    since = midnight(day)
    span = {"account": account, "since": since, "until": since + timedelta(days=1)}
    traded = pool.row(
        "SELECT coalesce(sum(realized_pnl), 0) AS realized, coalesce(sum(fee), 0) AS fees, "
        "coalesce(sum(quantity * price), 0) AS volume FROM monitoring.trades "
        "WHERE account = %(account)s AND executed_at >= %(since)s AND executed_at < %(until)s",
        span,
    )
    counting = counted.Span(begin=since, end=since + timedelta(days=1), account=account)
    ended, begun = counted.endings(pool, counting), counted.beginnings(pool, counting)
    deepest = pool.row(
        "SELECT coalesce(max(drawdown_percent), 0) AS drawdown FROM monitoring.performance "
        "WHERE account = %(account)s AND taken_at >= %(since)s AND taken_at < %(until)s",
        span,
    )
    if traded is None or deepest is None:
        raise TypeError("a sum has no row")
    return Day(
        realized_pnl=traded["realized"],
        fees=traded["fees"],
        volume=traded["volume"],
        opened=begun.opened,
        closed=ended.closed,
        won=ended.won,
        unprotected_seconds=begun.unprotected_seconds,
        max_drawdown_percent=deepest["drawdown"],
    )


def peak_equity(pool: ReadPool, account: str) -> Decimal:
    """The highest equity that a snapshot ever showed; 0: there is none. Raises DatabaseAway."""
    row = pool.row(
        "SELECT value FROM monitoring.performance_metrics WHERE account = %s AND metric = 'peak_equity' "
        "ORDER BY day DESC LIMIT 1",
        (account,),
    )
    return Decimal(0) if row is None else Decimal(row["value"])


def realized_before(pool: ReadPool, account: str, at: datetime, besides: list[int]) -> Decimal:
    """Gains less fees of all executions before `at`, but for those of the positions `besides`. Raises DatabaseAway."""
    row = pool.row(
        "SELECT coalesce(sum(realized_pnl - fee), 0) AS realized FROM monitoring.trades "
        "WHERE account = %s AND executed_at < %s AND NOT position_id = ANY(%s)",
        (account, at, besides),
    )
    return Decimal(row["realized"]) if row else Decimal(0)
