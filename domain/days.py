"""Days are those of UTC, wherever the program counts by them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time


def day_of(moment: datetime) -> date:
    """The day that a moment belongs to."""
    return moment.astimezone(UTC).date()


def midnight(day: date) -> datetime:
    """The first instant of a day."""
    return datetime.combine(day, time(), UTC)
