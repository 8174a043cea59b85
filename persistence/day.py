"""What the page shows of the day, out of the book: sums and counts that one query each can give."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from domain.identity import PositionId
from persistence import counted
from persistence.pool import ReadPool, Row

DRAWN = (
    "stop_loss_placed", "stop_loss_moved", "trailing_moved", "stop_overridden", "price_range", "fill",
    "take_profit_filled", "position_closed",
)  # fmt: skip
CLOSED = (
    "id, account, symbol, side, upper(status) AS state, entry_price, exit_price, exit_reason, realized_pnl, fees, "
    "unprotected_seconds, opened_at, closed_at"
)


def closed(pool: ReadPool, limit: int, account: str | None = None, symbol: str | None = None) -> list[Row]:
    """The last positions whose life is over, newest first. Raises DatabaseAway."""
    return pool.rows(
        f"SELECT {CLOSED} FROM monitoring.positions WHERE NOT open "  # noqa: S608 - the column names above
        "AND (%(account)s::text IS NULL OR account = %(account)s) "
        "AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s) ORDER BY id DESC LIMIT %(limit)s",
        {"account": account, "symbol": symbol, "limit": limit},
    )


def totals(pool: ReadPool, since: datetime) -> dict[str, Any]:
    """Opened, closed, realised P&L and fees of the day that began then. Raises DatabaseAway."""
    span = counted.Span(begin=since, end=since + timedelta(days=1))
    ended = counted.endings(pool, span)
    return {
        "opened": counted.beginnings(pool, span).opened,
        "closed": ended.closed,
        "realized": ended.realized_pnl,
        "fees": ended.fees,
    }


def owned_seconds(pool: ReadPool, since: datetime, now: datetime) -> Any:
    """For how long, added up over all positions, there was something to protect since then. Raises DatabaseAway."""
    row = pool.row(
        "SELECT coalesce(sum(extract(epoch FROM coalesce(closed_at, %(now)s) - greatest(opened_at, %(since)s))), 0) "
        "AS seconds FROM monitoring.positions "
        "WHERE (open OR closed_at > %(since)s) AND entry_price IS NOT NULL",
        {"since": since, "now": now},
    )
    return row["seconds"] if row else 0


def grave_events(pool: ReadPool, since: datetime, bucket_minutes: int) -> list[Row]:
    """{at, severity, number} of warnings and worse, by slices of time, oldest first. Raises DatabaseAway."""
    return pool.rows(
        "SELECT date_bin(make_interval(mins => %(minutes)s), created_at, %(origin)s) AS at, severity, "
        "count(*) AS number FROM monitoring.events WHERE created_at >= %(since)s "
        "AND severity IN ('warning', 'error', 'critical') GROUP BY 1, 2 ORDER BY 1",
        {"minutes": bucket_minutes, "origin": since, "since": since},
    )


def life(pool: ReadPool, position_id: PositionId, limit: int) -> list[Row]:
    """{type, at, data} of what a chart shows of a position, oldest first, the last `limit`. Raises DatabaseAway."""
    return pool.rows(
        "SELECT * FROM (SELECT id, event_type AS type, created_at AS at, event_data AS data FROM monitoring.events "
        "WHERE position_id = %s AND event_type = ANY(%s) ORDER BY id DESC LIMIT %s) newest ORDER BY id",
        (position_id, list(DRAWN), limit),
    )
