"""What the web server shows: answers out of the same views as the control socket's.

Rules of this file: it only looks. It runs on threads of the web server, never on an actor's. It reads the book through
connections of its own, so that no browser takes one from the desk, and asks an actor at most once in `FRESH_S` however
many pages are open. What is in memory is shown whether the database is there or not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, TypeVar

from actors import messages
from actors.control import reading, symbols
from actors.control import status as control_status
from actors.control.answering import ANSWER_S, Answering
from actors.directory import Unanswered, Unavailable
from actors.messages import Show
from actors.standing import Standing
from actors.web.drawing import drawing
from actors.web.figures import OWNER, Gathered, figures, spreads
from actors.web.foremost import Foremost
from actors.web.health import RUNNING, AccountView, counts, health
from actors.web.traces import Traces
from adapters.admin.parameters import Parameters
from adapters.admin.protocol import INVALID_PARAMS, NOT_NOW, UNKNOWN_ID, AdminError, Caller
from adapters.web.source import BadQuestion, EventFilter, Figure, NotNow, Plain, Spread, UnknownThing
from domain.days import day_of, midnight
from domain.identity import PositionId
from domain.position import ledger
from domain.position.state import Position
from persistence import day
from persistence.database import DatabaseAway
from persistence.reader import Reader

T = TypeVar("T")
FRESH_S = 0.5
DAY_FRESH_S = 2.0
TREND_FRESH_S = 2.0
TREND = timedelta(hours=24)
TREND_MINUTES = 30
NEWS = 200
NOBODY = Caller(uid=-1, pid=-1)


class Kept(Generic[T]):
    """One answer for everybody who asks within `fresh_s`; who comes while it is being looked up waits for that."""

    def __init__(self, ask: Callable[[], T], fresh_s: float, monotonic: Callable[[], float]) -> None:
        """`ask` is called by one thread at a time; what it raises is not kept."""
        self._ask = ask
        self._fresh_s = fresh_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: tuple[float, T] | None = None

    def get(self) -> T:
        """The answer, at most `fresh_s` old."""
        with self._lock:
            if self._kept is None or self._monotonic() - self._kept[0] > self._fresh_s:
                self._kept = (self._monotonic(), self._ask())
            return self._kept[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """What the book says of this day (UTC)."""

    totals: Mapping[str, Any]
    owned_seconds: Decimal


class Showing:
    """Answers `adapters.web.source.Source`."""

    def __init__(self, house: Answering, standings: Mapping[str, Standing], traces: Traces, reader: Reader) -> None:
        """`house`: the web actor, for what it was given; `reader`: not shared with anybody."""
        self._house = house
        self._standings = standings
        self._traces = traces
        self._foremost = Foremost()
        self._reader = reader
        monotonic = house.clock.monotonic
        self._status = Kept(self._ask_status, FRESH_S, monotonic)
        self._actors = Kept(self._ask_actors, FRESH_S, monotonic)
        self._today = Kept(self._ask_today, DAY_FRESH_S, monotonic)
        self._trend = Kept(self._ask_trend, TREND_FRESH_S, monotonic)

    def hide(self, text: str) -> str:
        return self._house.recorder.secrets.hide(text)

    def health(self) -> Plain:
        return self._health(self._owned())

    def stats(self) -> Plain:
        owned, status, now = self._owned(), self._status.get(), self._house.clock.now()
        today = self._today.get()
        told = self._house.recorder.tally.events()
        return {
            "as_of": now,
            "mode": status["mode"],
            "version": status["version"],
            "uptime_seconds": status["uptime_s"],
            "positions": counts(owned),
            "unprotected_seconds_today": status["unprotected_seconds_today"],
            "opened_today": None if today is None else today.totals["opened"],
            "closed_today": None if today is None else today.totals["closed"],
            "realized_pnl_today": None if today is None else today.totals["realized"],
            "fees_today": None if today is None else today.totals["fees"],
            "unrealized_pnl": _open_profit(owned),
            "accounts": self._money(),
            "events_since_start": _by_severity(told),
            "restarts": sum(number for (kind, _), number in told.items() if kind == "actor_restarted"),
            "entries": status["entries"],
        }

    def positions(self, account: str | None, symbol: str | None, *, closed: int) -> Plain:
        asked = {"account": account, "symbol": symbol}
        shown = _asked(reading.positions, self._house, {key: value for key, value in asked.items() if value})
        if closed:
            wanted = self._house.canonical(symbol) if symbol else None
            shown["closed"] = self._book(lambda: day.closed(self._reader.pool, closed, account or None, wanted))
        return shown

    def drawing(self, position_id: int) -> Plain:
        points = self._traces.points(position_id)
        try:
            return drawing(position_id, points, day.life(self._reader.pool, PositionId(position_id), 600), None)
        except DatabaseAway as away:
            if not points:
                raise NotNow(f"the database cannot be reached: {away}") from away
            return drawing(position_id, points, (), f"the database cannot be reached: {away}")

    def events(self, wanted: EventFilter) -> Plain:
        names = ("since", "limit", "symbol", "type", "severity", "position", "correlation")
        return _asked(
            reading.events,
            self._house,
            {name: value for name in names if (value := getattr(wanted, name)) not in (None, "")},
        )

    def trend(self) -> Plain:
        return self._trend.get()

    def audit(self, symbol: str | None) -> Plain:
        return _asked(symbols.audit, self._house, {"symbol": symbol} if symbol else {})

    def picture(self) -> Plain:
        house, now = self._house, self._house.clock.now()
        owned, status, people = self._owned(), self._status.get(), self._actors.get()
        well, today = self._health(owned), self._today.get()
        bare_s = [(now - p.unprotected_since).total_seconds() for p in owned if p.unprotected_since is not None]
        owners = [each for each in people["actors"] if each["name"].startswith(OWNER)]
        return {
            "as_of": now,
            "mode": status["mode"],
            "dry_run": status["dry_run"],
            "version": status["version"],
            "uptime_s": status["uptime_s"],
            "status": well["status"],
            "reasons": well["reasons"],
            "entries": status["entries"],
            "coverage": {
                "unprotected_seconds_today": status["unprotected_seconds_today"],
                "owned_seconds_today": None if today is None else today.owned_seconds,
                "unprotected_now": len(bare_s),
                "longest_now_s": max(bare_s, default=0.0),
            },
            "today": None if today is None else today.totals,
            "unrealized_pnl": _open_profit(owned),
            "accounts": self._money(),
            "components": well["components"],
            "open": len(owned),
            "positions": [
                house.position(p, now) for p in self._foremost.of(owned, self._mark, house.clock.monotonic())
            ],
            "owners": {"running": sum(each["state"] == RUNNING for each in owners), "all": len(owners)},
            "actors": [
                each
                for each in people["actors"]
                if not each["name"].startswith(OWNER) or each["restarts"] or each["state"] != RUNNING
            ],
            "abandoned": people["abandoned"],
        }

    def news(self, since: int | None) -> Plain:
        def look() -> Plain:
            if since is None:
                return {"events": [], "next_since": self._reader.last_event_seq()}
            rows = self._reader.events(since=since, limit=NEWS)
            return {"events": rows, "next_since": rows[-1]["seq"] if rows else since}

        return self._book(look)

    def figures(self) -> tuple[list[Figure], list[Spread]]:
        owned, house, now = self._owned(), self._house, self._house.clock.now()
        journal, outbox = self._shown(messages.JOURNAL), self._shown(messages.NOTIFIER)
        known = Gathered(
            status=self._status.get(),
            health=self._health(owned),
            actors=self._actors.get(),
            owned=owned,
            funds={account: standing.funds for account, standing in self._standings.items()},
            mark_ages_s=self._mark_ages(owned, now),
            spooled=None if journal is None else journal.spooled,
            outbox=None if outbox is None else outbox["waiting"],
            started_at=house.wiring.started_at,
            now=now,
        )
        return figures(known, house.recorder.tally), spreads(house.recorder.tally)

    # Parts.

    def _owned(self) -> tuple[Position, ...]:
        return self._house.wiring.owners.all()

    def _health(self, owned: Sequence[Position]) -> Plain:
        accounts = [
            AccountView(account=name, exchange=exchange, closed_because=self._standings[name].closed_because)
            for name, exchange in self._house.wiring.accounts.items()
        ]
        return health(self._status.get(), self._actors.get()["actors"], accounts, owned, self._house.clock.now())

    def _ask_status(self) -> Plain:
        return _asked(control_status.status, self._house, {})

    def _ask_actors(self) -> Plain:
        return _asked(reading.actors, self._house, {})

    def _ask_today(self) -> Today | None:
        """None while the database is away."""
        now = self._house.clock.now()
        since = midnight(day_of(now))
        pool = self._reader.pool
        try:
            seconds = Decimal(day.owned_seconds(pool, since, now))
            return Today(totals=day.totals(pool, since), owned_seconds=round(seconds, 3))
        except DatabaseAway:
            return None

    def _ask_trend(self) -> Plain:
        width = timedelta(minutes=TREND_MINUTES)
        now = self._house.clock.now()
        begun = midnight(day_of(now))
        newest = begun + (now - begun) // width * width
        first = newest - TREND + width
        rows = self._book(lambda: day.grave_events(self._reader.pool, first, TREND_MINUTES))
        found = {(row["at"], row["severity"]): row["number"] for row in rows}
        slices = [first + number * width for number in range(TREND // width)]
        grades = ("warning", "error", "critical")
        return {
            "bucket_minutes": TREND_MINUTES,
            "buckets": [{"at": at, **{grade: found.get((at, grade), 0) for grade in grades}} for at in slices],
        }

    def _money(self) -> list[Plain]:
        found: list[Plain] = []
        for account, exchange in self._house.wiring.accounts.items():
            funds = self._standings[account].funds
            names = ("wallet", "equity", "free", "read_at")
            money = {name: None if funds is None else getattr(funds, name) for name in names}
            found.append({"account": account, "exchange": exchange, **money})
        return found

    def _mark(self, p: Position) -> Decimal | None:
        mark = self._house.wiring.marks.get(p.account, p.symbol)
        return None if mark is None else mark.price

    def _mark_ages(self, owned: Sequence[Position], now: datetime) -> dict[str, float]:
        ages: dict[str, float] = {}
        for p in owned:
            mark = self._house.wiring.marks.get(p.account, p.symbol)
            if mark is not None:
                ages[p.account] = max(ages.get(p.account, 0.0), (now - mark.heard_at).total_seconds())
        return ages

    def _shown(self, actor: str) -> Any:
        """What an actor says of itself; None: it does not answer."""
        try:
            return self._house.directory.ask(actor, Show(), ANSWER_S)
        except (Unavailable, Unanswered):
            return None

    def _book(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except DatabaseAway as away:
            raise NotNow(f"the database cannot be reached: {away}") from away


def _asked(
    method: Callable[[Answering, Parameters, Caller], object], house: Answering, given: dict[str, object]
) -> Plain:
    """A method of the control socket, which only looks, asked by a browser."""
    try:
        answer = method(house, Parameters(given), NOBODY)
    except (Unavailable, Unanswered) as failure:
        raise NotNow(str(failure)) from failure
    except DatabaseAway as away:
        raise NotNow(f"the database cannot be reached: {away}") from away
    except AdminError as error:
        kinds = {INVALID_PARAMS: BadQuestion, UNKNOWN_ID: UnknownThing, NOT_NOW: NotNow}
        raise kinds.get(error.code, BadQuestion)(error.message) from error
    assert isinstance(answer, dict)  # noqa: S101 - what these methods answer
    return dict(answer)


def _open_profit(owned: Sequence[Position]) -> Decimal:
    return round(sum((ledger.unrealized_pnl(p) or Decimal(0) for p in owned), Decimal(0)), 8)


def _by_severity(events: Mapping[tuple[str, str], int]) -> dict[str, int]:
    found = dict.fromkeys(("debug", "info", "warning", "error", "critical"), 0)
    for (_, severity), number in events.items():
        found[severity] += number
    return found
