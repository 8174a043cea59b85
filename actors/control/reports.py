"""What a day, or any span of time, came to: `report`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from actors.control.answering import Answering
from adapters.admin.parameters import Parameters, refused
from adapters.admin.protocol import Caller
from domain.days import day_of, midnight
from persistence.report import report as summed_up

WORDS = {"today": 0, "yesterday": 1}
LONGEST = timedelta(days=3_660)
_DAY = "must be a day such as 2026-01-31, or today, or yesterday (UTC)"
_MOMENT = "must be a day such as 2026-01-31, or a time such as 2026-01-31T12:00:00Z"


def report(house: Answering, params: Parameters, _: Caller) -> object:
    """`day`, else `from` and `to`, else today; a day is one of UTC, `to` is the first instant that is not counted."""
    account, day = params.text("account"), params.text("day")
    first, last = params.text("from"), params.text("to")
    params.done()
    if account is not None:
        house.known_account(account)
    begin, end = span(house.clock.now(), day, first, last)
    return summed_up(house.wiring.reader.pool, begin, end, account)


def span(now: datetime, day: str | None, first: str | None, last: str | None) -> tuple[datetime, datetime]:
    """From when to when. Raises AdminError for what is no time, or no span."""
    if day is not None and (first is not None or last is not None):
        raise refused("day", day, "stands alone: give a day, or from and to")
    if first is None and last is None:
        chosen = _day(day or "today", now)
        return midnight(chosen), midnight(chosen + timedelta(days=1))
    if first is None:
        raise refused("to", last, "needs a from")
    begin = _moment("from", first)
    end = _moment("to", last) if last is not None else now
    if not begin < end <= begin + LONGEST:
        raise refused("to", last or end.isoformat(), f"must be after from, by {LONGEST.days} days at most")
    return begin, end


def _day(text: str, now: datetime) -> date:
    if text.lower() in WORDS:
        return day_of(now) - timedelta(days=WORDS[text.lower()])
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise refused("day", text, _DAY) from None


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise refused(name, text, _MOMENT) from None
    if len(text) == len("2026-01-31"):
        return midnight(moment.date())
    if moment.tzinfo is None:
        raise refused(name, text, _MOMENT)
    return moment.astimezone(UTC)
