"""What executions came to: gains and fees of an account, all of them or those of a span.

Rules of this file: a fee counts by what it was in USDT when it was paid (`monitoring.fee_usdt`); one in another coin
whose price nobody knew then counts as nothing in a sum, and is named beside it with its coin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from persistence.pool import ReadPool

ZERO = Decimal(0)
_FEE = "monitoring.fee_usdt(fee, fee_currency, fee_converted)"
_NET = f"realized_pnl - coalesce({_FEE}, 0)"
_SPAN = "account = %(account)s AND executed_at >= %(begin)s AND executed_at < %(end)s"
_ALL_BUT_SOME = f"""
SELECT coalesce((SELECT net_pnl FROM monitoring.trade_totals WHERE account = %(account)s), 0)
     - coalesce((SELECT sum({_NET}) FROM monitoring.trades
                 WHERE account = %(account)s AND position_id = ANY(%(besides)s)), 0) AS net
"""  # noqa: S608 - all parts are of this file
_SINCE = f"SELECT coalesce(sum({_NET}), 0) AS net FROM monitoring.trades WHERE account = %s AND executed_at >= %s"  # noqa: S608
_TRADED = f"""
SELECT coalesce(sum(realized_pnl), 0) AS realized_pnl, coalesce(sum({_FEE}), 0) AS fees,
       coalesce(sum(quantity * price), 0) AS volume
FROM monitoring.trades WHERE {_SPAN}
"""  # noqa: S608
_APART = f"""
SELECT fee_currency AS asset, sum(fee) AS amount FROM monitoring.trades
WHERE {_SPAN} AND {_FEE} IS NULL AND fee <> 0 GROUP BY fee_currency ORDER BY fee_currency
"""  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """The executions of a span. `fees_apart`: by coin, what is not in `fees`."""

    realized_pnl: Decimal
    fees: Decimal
    volume: Decimal
    fees_apart: dict[str, Decimal]


def realized(pool: ReadPool, account: str, besides: Sequence[int]) -> Decimal:
    """Gains less fees of all executions of an account, but for those of the positions `besides`. Raises DatabaseAway.

    The cost goes with the executions of `besides`, not with the history: the sum of all is kept (migration 0006).
    """
    row = pool.row(_ALL_BUT_SOME, {"account": account, "besides": list(besides)})
    return Decimal(row["net"]) if row else ZERO


def realized_since(pool: ReadPool, account: str, since: datetime) -> Decimal:
    """Gains less fees of an account's executions since then. Raises DatabaseAway."""
    row = pool.row(_SINCE, (account, since))
    return Decimal(row["net"]) if row else ZERO


def traded(pool: ReadPool, account: str, begin: datetime, end: datetime) -> Traded:
    """What was executed from `begin` up to, not including, `end`. Raises DatabaseAway."""
    asked = {"account": account, "begin": begin, "end": end}
    sums = pool.row(_TRADED, asked)
    assert sums is not None  # noqa: S101 - an aggregate without GROUP BY has one row
    return Traded(**sums, fees_apart={row["asset"]: row["amount"] for row in pool.rows(_APART, asked)})
