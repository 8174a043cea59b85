"""Virtual time: UTC ms as integers on a tape and in the schedule, aware datetimes for the core."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
MINUTE_MS = 60_000


def instant(ms: int) -> datetime:
    """The moment `ms` after the epoch."""
    return EPOCH + timedelta(milliseconds=ms)


def stamp(moment: datetime) -> int:
    """Ms after the epoch, rounded up: what is due at `moment` is due at this ms, not before."""
    return -((EPOCH - moment) // _MS)


def read_time(text: str) -> int:
    """ISO 8601 (without a zone it is UTC) or ms after the epoch, as ms. Raises ValueError naming text and rule."""
    if text.strip().isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r}: must be an ISO 8601 time, such as 2021-05-19T12:30, or ms after 1970") from None
    return stamp(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def shown(ms: int) -> str:
    """A time for people: to the second, to the ms only where that says more."""
    text = instant(ms).strftime("%Y-%m-%d %H:%M:%S")
    return text if ms % 1000 == 0 else f"{text}.{ms % 1000:03d}"
