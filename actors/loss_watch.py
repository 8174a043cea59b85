"""What the kill switch is told of losses: the two sources of each account, read, judged and remembered.

Used by the kill switch's thread alone. A start that cannot read what was remembered judges nothing before it can: a
peak or a beginning of the day that is not known hides a loss. Off by the settings, everything is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from loguru import logger

from actors import messages
from actors.guard import GuardedActor
from actors.marks import Marks
from actors.owners import Owners
from actors.standing import Standing
from actors.switch_messages import AskFunds
from domain.identity import PositionId
from domain.judgement.losses import NOTHING, Limits, Reading, Source, Verdict, Watch, begun_anew, from_row, hear, to_row
from domain.position import ledger
from domain.position.state import Position
from persistence.database import DatabaseAway

LOSS_FACT = "loss_watch"
READ_EVERY_S = 10.0
ASK_EVERY_S = 3.0
KEEP_EVERY_S = 60.0
MARK_GOOD = timedelta(seconds=30)
WRITTEN_WITHIN_S = 30.0
ZERO = Decimal(0)


class Book(Protocol):
    """What is looked up. Each raises DatabaseAway."""

    def fact(self, key: str) -> Any:
        """What was remembered."""

    def realized(self, account: str, besides: list[int]) -> Decimal:
        """Gains less fees of all executions but those of some positions."""


class BookValue:
    """One account by our own book: what its executions came to, and what is open at its mark price.

    A position that just ended counts as it was last seen until its executions are surely written.
    """

    def __init__(self, account: str, owners: Owners, marks: Marks, book: Book) -> None:
        """Nothing is read yet."""
        self._account = account
        self._owners = owners
        self._marks = marks
        self._book = book
        self._over = ZERO
        self._read_at: float | None = None
        self._seen: dict[PositionId, tuple[Decimal, float]] = {}

    def value(self, now: datetime, moment: float) -> Decimal | None:
        """None: it cannot be said now. `moment` is monotonic."""
        owned = self._owners.all(self._account)
        for p in owned:
            worth = self._worth(p, now)
            if worth is None:
                return None
            self._seen[p.id] = (worth, moment)
        if self._read_at is None or moment - self._read_at >= READ_EVERY_S:
            self._read({p.id for p in owned}, moment)
        if self._read_at is None:
            return None
        return self._over + sum((worth for worth, _ in self._seen.values()), ZERO)

    def _read(self, live: set[PositionId], moment: float) -> None:
        kept = {
            key: seen for key, seen in self._seen.items() if key in live or moment - seen[1] < WRITTEN_WITHIN_S
        }
        try:
            self._over = self._book.realized(self._account, sorted(kept))
        except DatabaseAway:
            return  # what was read last and what has ended since still add up
        self._seen, self._read_at = kept, moment

    def _worth(self, p: Position, now: datetime) -> Decimal | None:
        done = ledger.realized_pnl(p) - ledger.fees(p)
        if ledger.exposure(p) <= 0:
            return done
        mark = self._marks.get(self._account, p.symbol)
        if mark is None or now - mark.heard_at > MARK_GOOD:
            return None
        unrealized = ledger.unrealized_pnl(p.changed(mark_price=mark.price, mark_at=mark.at))
        return None if unrealized is None else done + unrealized


class LossWatch:
    """All accounts'."""

    def __init__(
        self,
        actor: GuardedActor,
        standings: Mapping[str, Standing],
        owners: Owners,
        marks: Marks,
        book: Book,
        limits: Callable[[], Limits],
    ) -> None:
        """`actor` tells the gateways; `limits` is asked each time."""
        self._actor = actor
        self._standings = standings
        self._book = book
        self._limits = limits
        self._values = {name: BookValue(name, owners, marks, book) for name in standings}
        self._watches: dict[str, Watch] | None = None
        self._asked_at: dict[str, float] = {}
        self._kept_at = 0.0
        self._kept: Mapping[str, Any] | None = None
        self._starts: Mapping[tuple[str, Source], tuple[date, Decimal]] = {}

    def look(self) -> list[tuple[str, Verdict]]:
        """Hear both sources of each account; what follows from it."""
        limits = self._limits()
        if limits.off:
            self._watches = None if self._watches is None else {}
            return []
        watches = self._loaded()
        return [] if watches is None else [
            (name, verdict) for name in self._standings for verdict in self._heard(watches, name, limits)
        ]

    def anew(self, account: str) -> None:
        """The switch was reset: losses count from here."""
        if self._watches is not None and account in self._watches:
            self._watches[account] = begun_anew(self._watches[account])
            self._kept_at = 0.0

    def to_keep(self) -> Mapping[str, Any] | None:
        """The fact, when it has changed and it is time to write it: at once where a day begins anew."""
        moment = self._actor.clock.monotonic()
        if self._watches is None:
            return None
        starts = {
            (name, source): (curve.day, curve.day_start)
            for name, watch in self._watches.items()
            for source, curve in watch.curves.items()
        }
        if starts == self._starts and moment - self._kept_at < KEEP_EVERY_S:
            return None
        self._kept_at, self._starts = moment, starts
        fact = {name: to_row(watch) for name, watch in self._watches.items()}
        if fact == self._kept:
            return None
        self._kept = fact
        return {LOSS_FACT: fact}

    def _heard(self, watches: dict[str, Watch], account: str, limits: Limits) -> list[Verdict]:
        clock, found = self._actor.clock, []
        now, moment = clock.now(), clock.monotonic()
        readings = []
        funds = self._standings[account].funds_as_read
        if funds is not None:
            readings.append(Reading(source=Source.ACCOUNT, at=funds.read_at, value=funds.equity))
        value = self._values[account].value(now, moment)
        if value is not None:
            readings.append(Reading(source=Source.BOOK, at=now, value=value))
        watch = watches.get(account, NOTHING)
        for reading in readings:
            watch, verdict = hear(watch, reading, limits)
            found += [] if verdict is None else [verdict]
        watches[account] = watch
        if watch.suspicious and moment - self._asked_at.get(account, -ASK_EVERY_S) >= ASK_EVERY_S:
            self._asked_at[account] = moment
            self._actor.tell(messages.gateway(account), AskFunds())
        return found

    def _loaded(self) -> dict[str, Watch] | None:
        if self._watches is None:
            try:
                row = self._book.fact(LOSS_FACT) or {}
            except DatabaseAway:
                return None
            self._watches = {}
            for account in self._standings:
                try:
                    self._watches[account] = from_row(row.get(account, {}))
                except (KeyError, ValueError, TypeError, ArithmeticError, AttributeError) as fault:
                    logger.error("LOSSES_UNREADABLE account={} error={!r}: counted from here", account, fault)
        return self._watches
