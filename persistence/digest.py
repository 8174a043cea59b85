"""A day in figures, from what is written of it."""

from __future__ import annotations

from datetime import date, timedelta

from domain.alerting.digest import Day
from domain.days import midnight
from persistence import counted
from persistence.reader import Reader

_REFUSED = """
SELECT outcome, count(*) AS number FROM fas.signals
WHERE processed_at >= %(begin)s AND processed_at < %(end)s AND outcome NOT IN ('opened', 'closing')
GROUP BY outcome ORDER BY number DESC, outcome"""
_GRAVE = """
SELECT severity, count(*) AS number FROM monitoring.events
WHERE created_at >= %(begin)s AND created_at < %(end)s AND severity IN ('critical', 'error', 'warning')
GROUP BY severity"""


def read_day(reader: Reader, day: date) -> Day:
    """The figures of a day (UTC). Raises DatabaseAway."""
    begin = midnight(day)
    wanted = {"begin": begin, "end": begin + timedelta(days=1)}
    span = counted.Span(begin=begin, end=begin + timedelta(days=1))
    ended, begun = counted.endings(reader.pool, span), counted.beginnings(reader.pool, span)
    refused = reader.pool.rows(_REFUSED, wanted)
    grave = reader.pool.rows(_GRAVE, wanted)
    return Day(
        day=day,
        closed=ended.closed,
        won=ended.won,
        net_pnl=ended.net_pnl,
        fees=ended.fees,
        fees_apart=ended.fees_apart,
        unprotected_seconds=begun.unprotected_seconds,
        refused={row["outcome"]: row["number"] for row in refused},
        grave={row["severity"]: row["number"] for row in grave},
    )
