"""The daily digest: when one is due, and its words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from domain.decimals import plain

MOST_REASONS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day (UTC) in figures. `refused`: signals by the reason; `grave`: events by severity.

    `fees_apart`: by coin, what is not in `fees`.
    """

    day: date
    closed: int
    won: int
    net_pnl: Decimal
    fees: Decimal
    fees_apart: Mapping[str, Decimal]
    unprotected_seconds: Decimal
    refused: Mapping[str, int]
    grave: Mapping[str, int]


def due(now: datetime, hour: int, told: str | None) -> date | None:
    """The day whose digest is to be told now; None: none. `told`: the last day that was; `hour` -1: never."""
    now = now.astimezone(UTC)
    yesterday = now.date() - timedelta(days=1)
    if hour < 0 or now.hour < hour or (told is not None and told >= yesterday.isoformat()):
        return None
    return yesterday


def words(day: Day) -> str:
    """What humans read."""
    reasons = list(day.refused.items())
    told = ", ".join(f"{number} {reason}" for reason, number in reasons[:MOST_REASONS])
    more = f", {sum(number for _, number in reasons[MOST_REASONS:])} others" if len(reasons) > MOST_REASONS else ""
    severities = ", ".join(f"{day.grave.get(name, 0)} {name}" for name in ("critical", "error", "warning"))
    apart = "".join(f", and {plain(amount)} {coin} at no known price" for coin, amount in day.fees_apart.items())
    return (
        f"DAILY_DIGEST {day.day}: unprotected {plain(day.unprotected_seconds)} s; "
        f"{day.closed} positions closed, {day.won} with a profit, "
        f"net P&L {plain(day.net_pnl)} (fees {plain(day.fees)}{apart}); "
        f"{sum(day.refused.values())} signals refused{f' ({told}{more})' if reasons else ''}; events: {severities}"
    )
