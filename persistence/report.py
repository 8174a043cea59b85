"""What a span of time came to: positions, profit, fees, unprotected seconds, moves of stops, signals and refusals.

Rules of this file: a position belongs to the span in which it ended (its profit) or was opened (its unprotected
seconds), as `counted` has it; sums are made by the database, exact; what is not known is None and never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from persistence import counted
from persistence.pool import ReadPool, Row

MOST_POSITIONS = 10_000
MOVES = ("trailing_moved", "stop_loss_moved")
ANSWERED_WELL = ("opened", "closing", "dry_run")

_WHERE = "(%(account)s::text IS NULL OR account = %(account)s)"
_POSITIONS = f"""
SELECT id, account, symbol, side, status, trim_scale(round(t.entry_price, 8)) AS entry_price,
       trim_scale(round(t.exit_price, 8)) AS exit_price, t.realized_pnl, t.fees, t.fees_apart,
       t.realized_pnl - t.fees AS net_pnl, t.exit_reason, t.unprotected_seconds, s.update_count AS stop_moves,
       t.opened_at, t.closed_at
FROM monitoring.positions t LEFT JOIN monitoring.trailing_stop_state s ON s.position_id = t.id
WHERE {counted.ENDED}
ORDER BY closed_at, id LIMIT %(most)s
"""  # noqa: S608
_MOVES = f"""
SELECT count(*) AS moves FROM monitoring.events
WHERE event_type = ANY(%(moves)s) AND created_at >= %(begin)s AND created_at < %(end)s AND {_WHERE}
"""  # noqa: S608
_SIGNALS = """
SELECT outcome, count(*) AS signals FROM fas.signals
WHERE processed_at >= %(begin)s AND processed_at < %(end)s AND outcome IS NOT NULL
  AND (%(account)s::text IS NULL OR coalesce(wave_account, account) = %(account)s)
GROUP BY outcome ORDER BY count(*) DESC, outcome
"""


def report(pool: ReadPool, begin: datetime, end: datetime, account: str | None = None) -> dict[str, Any]:
    """The span from `begin` up to, not including, `end`. Raises DatabaseAway.

    Of the positions that ended `MOST_POSITIONS` are listed; `closed_cut`: there are more, which only the sums have.
    """
    span = counted.Span(begin=begin, end=end, account=account)
    asked: dict[str, object] = {**span.asked, "moves": list(MOVES), "most": MOST_POSITIONS + 1}
    ended, begun = counted.endings(pool, span), counted.beginnings(pool, span)
    moves = pool.row(_MOVES, asked) or {}
    known = pool.row("SELECT min(created_at) AS oldest FROM monitoring.events")
    oldest = None if known is None else known["oldest"]
    listed = pool.rows(_POSITIONS, asked)
    whole = (oldest is not None and oldest <= begin) or not _archived(pool)
    return {
        "from": begin,
        "to": end,
        "account": account,
        "positions": {
            "opened": begun.opened,
            "failed": begun.failed,
            "closed": ended.closed,
            "rolled_back": ended.rolled_back,
            "liquidated": ended.liquidated,
            "won": ended.won,
            "lost": ended.lost,
            "win_rate_pct": round(Decimal(ended.won * 100) / ended.closed, 2) if ended.closed else None,
        },
        "realized_pnl": ended.realized_pnl,
        "fees": ended.fees,
        "fees_apart": ended.fees_apart,
        "net_pnl": ended.net_pnl,
        "best": ended.best,
        "worst": ended.worst,
        "unprotected_seconds": begun.unprotected_seconds,
        "longest_unprotected_s": begun.longest_unprotected_s,
        "stop_moves": moves["moves"] if whole else None,
        **_signals(pool.rows(_SIGNALS, asked)),
        "closed_cut": len(listed) > MOST_POSITIONS,
        "closed": listed[:MOST_POSITIONS],
    }


def _signals(rows: Sequence[Row]) -> dict[str, object]:
    acted = {row["outcome"]: row["signals"] for row in rows if row["outcome"] in ANSWERED_WELL}
    refused = {row["outcome"]: row["signals"] for row in rows if row["outcome"] not in ANSWERED_WELL}
    return {
        "signals": {"answered": sum(row["signals"] for row in rows), "acted_on": sum(acted.values())},
        "refused": refused,
    }


def _archived(pool: ReadPool) -> bool:
    """Whether months of events have left the database: what happened in them cannot be counted here."""
    row = pool.row("SELECT count(*) AS times FROM monitoring.events WHERE event_type = 'events_archived'")
    return row is not None and row["times"] > 0
