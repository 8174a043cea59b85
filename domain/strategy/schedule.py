"""When the strategy looks: shortly after a candle has closed, once a candle, never at one that closed long ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

FRESH = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def candle_due(now: datetime, span: timedelta, delay: timedelta) -> datetime | None:
    """The close of the candle that may be judged now, `delay` after it; None when it closed too long ago to act on.

    Too long is a FRESH-th of a candle: what was missed in a longer pause is not made up for, its price is gone.
    """
    closed_at = _closed_at(now - delay, span)
    return closed_at if now - closed_at <= delay + span / FRESH else None


def next_look(now: datetime, span: timedelta, delay: timedelta) -> datetime:
    """When the next candle may be judged."""
    return _closed_at(now - delay, span) + span + delay


def _closed_at(moment: datetime, span: timedelta) -> datetime:
    """The close of the last candle that was over at `moment`; candles begin at multiples of their span."""
    return moment - (moment - _EPOCH) % span
