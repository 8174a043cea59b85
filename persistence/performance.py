"""What the performance records are made of, out of the book: a day's executions and endings, the highest equity."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from domain.days import midnight
from domain.judgement.performance import Day
from persistence import counted, executions
from persistence.pool import ReadPool


def day_of(pool: ReadPool, account: str, day: date) -> Day:
    """A day (UTC) of an account as far as it is written. Raises DatabaseAway."""
    since = midnight(day)
    span = counted.Span(begin=since, end=since + timedelta(days=1), account=account)
    traded = executions.traded(pool, account, span.begin, span.end)
    ended, begun = counted.endings(pool, span), counted.beginnings(pool, span)
    deepest = pool.row(
        "SELECT coalesce(max(drawdown_percent), 0) AS drawdown FROM monitoring.performance "
        "WHERE account = %(account)s AND taken_at >= %(begin)s AND taken_at < %(end)s",
        span.asked,
    )
    if deepest is None:
        raise TypeError("a maximum has no row")
    return Day(
        realized_pnl=traded.realized_pnl,
        fees=traded.fees,
        fees_apart=traded.fees_apart,
        volume=traded.volume,
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
