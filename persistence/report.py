"""What a span of time came to: positions, profit, fees, unprotected seconds, moves of stops, signals and refusals.

Rules of this file: a position belongs to the span in which it ended (its profit) or was opened (its unprotected
seconds); sums are made by the database, exact; what is not known is None and never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from persistence.pool import ReadPool, Row

MOST_POSITIONS = 10_000
ENDED = ("closed", "rolled_back", "liquidated")
MOVES = ("trailing_moved", "stop_loss_moved")
ANSWERED_WELL = ("opened", "closing", "dry_run")

_WHERE = "(%(account)s::text IS NULL OR account = %(account)s)"
_TOTALS = f"""
SELECT count(*) AS closed,
       count(*) FILTER (WHERE status = 'rolled_back') AS rolled_back,
       count(*) FILTER (WHERE status = 'liquidated') AS liquidated,
       count(*) FILTER (WHERE realized_pnl - fees > 0) AS won,
       count(*) FILTER (WHERE realized_pnl - fees < 0) AS lost,
       coalesce(sum(realized_pnl), 0) AS realized_pnl,
       coalesce(sum(fees), 0) AS fees,
       coalesce(sum(realized_pnl - fees), 0) AS net_pnl,
       max(realized_pnl - fees) AS best,
       min(realized_pnl - fees) AS worst
FROM monitoring.positions
WHERE closed_at >= %(begin)s AND closed_at < %(end)s AND status = ANY(%(ended)s) AND {_WHERE}
"""  # noqa: S608 - all parts are of this file
_OPENED = f"""
SELECT count(*) FILTER (WHERE status <> 'failed') AS opened,
       count(*) FILTER (WHERE status = 'failed') AS failed,
       coalesce(sum(unprotected_seconds), 0) AS unprotected_seconds,
       coalesce(max(unprotected_seconds), 0) AS longest_unprotected_s
FROM monitoring.positions
WHERE opened_at >= %(begin)s AND opened_at < %(end)s AND {_WHERE}
"""  # noqa: S608
_POSITIONS = f"""
SELECT id, account, symbol, side, status, trim_scale(round(t.entry_price, 8)) AS entry_price,
       trim_scale(round(t.exit_price, 8)) AS exit_price, t.realized_pnl, t.fees,
       t.realized_pnl - t.fees AS net_pnl, t.exit_reason, t.unprotected_seconds, s.update_count AS stop_moves,
       t.opened_at, t.closed_at
FROM monitoring.positions t LEFT JOIN monitoring.trailing_stop_state s ON s.position_id = t.id
WHERE closed_at >= %(begin)s AND closed_at < %(end)s AND status = ANY(%(ended)s) AND {_WHERE}
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
    """The span from `begin` up to, not including, `end`. Raises DatabaseAway."""
    asked: dict[str, object] = {
        "begin": begin,
        "end": end,
        "account": account,
        "ended": list(ENDED),
        "moves": list(MOVES),
        "most": MOST_POSITIONS,
    }
    totals, opened = _one(pool, _TOTALS, asked), _one(pool, _OPENED, asked)
    known = pool.row("SELECT min(created_at) AS oldest FROM monitoring.events")
    oldest = None if known is None else known["oldest"]
    whole = (oldest is not None and oldest <= begin) or not _archived(pool)
    return {
        "from": begin,
        "to": end,
        "account": account,
        "positions": {
            "opened": opened["opened"],
            "failed": opened["failed"],
            **{name: totals[name] for name in ("closed", "rolled_back", "liquidated", "won", "lost")},
            "win_rate_pct": round(Decimal(totals["won"] * 100) / totals["closed"], 2) if totals["closed"] else None,
        },
        "realized_pnl": totals["realized_pnl"],
        "fees": totals["fees"],
        "net_pnl": totals["net_pnl"],
        "best": totals["best"],
        "worst": totals["worst"],
        "unprotected_seconds": opened["unprotected_seconds"],
        "longest_unprotected_s": opened["longest_unprotected_s"],
        "stop_moves": _one(pool, _MOVES, asked)["moves"] if whole else None,
        **_signals(pool.rows(_SIGNALS, asked)),
        "closed": pool.rows(_POSITIONS, asked),
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


def _one(pool: ReadPool, query: str, asked: dict[str, object]) -> Row:
    row = pool.row(query, asked)
    assert row is not None  # noqa: S101 - an aggregate without GROUP BY has one row
    return row
