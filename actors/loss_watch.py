"""What the kill switch is told of losses: the two sources of each account, read, judged and remembered.

Used by the kill switch's thread alone. A start that cannot read what was remembered judges nothing before it can: a
peak or a beginning of the day that is not known hides a loss. Off by the settings, everything is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from actors import messages
from actors.guard import patience
from actors.loss_memory import LOSS_FACT, as_fact, keep, recall
from actors.marks import Marks
from actors.owners import Owners
from actors.reporting import ReportingActor
from actors.standing import Standing
from actors.switch_memory import Book as LocalBook
from actors.switch_messages import AskFunds
from domain.catalogue import EventType
from domain.identity import PositionId
from domain.judgement.losses import NOTHING, Limits, Reading, Source, Verdict, Watch, begun_anew, begun_late, hear
from domain.position import ledger
from domain.position.state import Position
from persistence.database import DatabaseAway

READ_EVERY_S = 10.0
ASK_EVERY_S = 3.0
KEEP_EVERY_S = 60.0
MARK_GOOD = timedelta(seconds=30)
WRITTEN_WITHIN_S = 30.0
DISK_LIMIT_S = 10.0
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
        actor: ReportingActor,
        standings: Mapping[str, Standing],
        owners: Owners,
        marks: Marks,
        book: Book,
        local: LocalBook,
        limits: Callable[[], Limits],
    ) -> None:
        """`actor` tells the gateways; `book` is the database, `local` the local book; `limits` is asked each time."""
        self._actor = actor
        self._standings = standings
        self._book = book
        self._local = local
        self._limits = limits
        self._values = {name: BookValue(name, owners, marks, book) for name in standings}
        self._watches: dict[str, Watch] | None = None
        self._asked_at: dict[str, float] = {}
        self._kept_at = 0.0
        self._kept: dict[str, Watch] | None = None
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

    @property
    def beginning(self) -> bool:
        """Whether an account is watched of which a source has said nothing yet: it is counted from its first word."""
        watches = self._watches
        if watches is None or self._limits().off:
            return False
        return any(len(watches.get(name, NOTHING).curves) < len(Source) for name in self._standings)

    def to_keep(self) -> Mapping[str, Any] | None:
        """The fact, when it has changed and it is time to write it: at once where a day begins anew.

        What a day is counted from is in the local book when this returns.
        """
        clock = self._actor.clock
        moment = clock.monotonic()
        if self._watches is None:
            return None
        starts = {
            (name, source): (curve.day, curve.day_start)
            for name, watch in self._watches.items()
            for source, curve in watch.curves.items()
        }
        anew = starts != self._starts
        if not anew and moment - self._kept_at < KEEP_EVERY_S:
            return None
        self._kept_at, self._starts = moment, starts
        if self._watches == self._kept:
            return None
        self._kept = dict(self._watches)
        fact = as_fact(self._watches, clock.now())
        if anew:
            patience(DISK_LIMIT_S)
            keep(self._local, fact)
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
            before = watch
            watch, verdict = hear(watch, reading, limits)
            found += [] if verdict is None else [verdict]
            if begun_late(before, watch, reading):
                data = {"account": account, "source": reading.source.value, "value": str(reading.value)}
                data["at"] = reading.at.isoformat()
                self._actor.report(EventType.LOSSES_COUNTED_FROM, data, account=account)
        watches[account] = watch
        if watch.suspicious and moment - self._asked_at.get(account, -ASK_EVERY_S) >= ASK_EVERY_S:
            self._asked_at[account] = moment
            self._actor.tell(messages.gateway(account), AskFunds())
        return found

    def _loaded(self) -> dict[str, Watch] | None:
        if self._watches is None:
            try:
                self._watches = recall(self._standings, self._book, self._local)
            except DatabaseAway:
                return None
        return self._watches
