"""Where the laws bring their findings: breaches, excuses, and what is due at a time to come.

Rules of this file: time is exchange time and moves with the lines only. An excuse is never silent: each use is counted
under its law and its reason.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from tests.oracle.reader import AnyLine

GRACE_MS = 5_000
"""After an outsider's act the laws hold again within this (LAWS, 'Safety')."""
RETURN_GRACE_MS = 10_000
"""After the exchange answers again (LAWS L1)."""
PROCESS_DOWN = "our process was down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The venue's tick and step of one symbol."""

    tick: Decimal
    step: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """We did not run between two exchange times (ms): killed by the test, and started again."""

    since: int
    until: int
    why: str = PROCESS_DOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorAct:
    """An operator asked for something on a symbol at an exchange time (ms): a looser stop, a stranger's close."""

    at: int
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """An outsider's act that leaves no line: a reply cut off, a stream broken. `symbol` None: any."""

    at: int
    why: str
    symbol: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the judge is told beside the timeline. Percents are percents; weights are the venue's for a minute.

    `adopt_stops`: the setting of this name was on, so that a stranger's stop may be taken over.
    """

    filters: Mapping[str, Filters] = field(default_factory=dict)
    absences: tuple[Absence, ...] = ()
    operator_acts: tuple[OperatorAct, ...] = ()
    disturbances: tuple[Disturbance, ...] = ()
    weight_limit: int = 2400
    orders_per_10s: int = 300
    requests_per_5s: int = 600
    farthest_stop_pct: Decimal = Decimal(50)
    adopt_stops: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A law broken: when (ms), where, the figures, and the lines that prove it."""

    law: str
    at: int
    symbol: str
    text: str
    lines: tuple[AnyLine, ...] = ()


class Court:
    """The record of one judgement."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.breaches: list[Breach] = []
        self.excuses: Counter[tuple[str, str]] = Counter()
        self.unjudged: Counter[tuple[str, str]] = Counter()
        self._due: list[tuple[int, int, Callable[[int], None]]] = []
        self._count = 0
        self._disturbances: deque[tuple[int, str | None, str]] = deque()
        for act in terms.disturbances:
            self.disturbed(act.at, act.symbol, act.why)
        self._absences = [(a.since, a.until + GRACE_MS, a.why) for a in terms.absences]

    def breach(self, law: str, at: int, symbol: str, text: str, *lines: AnyLine) -> None:
        """A law is broken."""
        self.breaches.append(Breach(law=law, at=at, symbol=symbol, text=text, lines=lines))

    def excuse(self, law: str, why: str) -> None:
        """A law would be broken but for a reason that the laws grant."""
        self.excuses[law, why] += 1

    def cannot_judge(self, law: str, why: str) -> None:
        """A law would have something to say here, but the timeline does not tell what it needs to know."""
        self.unjudged[law, why] += 1

    def disturbed(self, at: int, symbol: str | None, why: str) -> None:
        """An outsider, or the exchange, acted (symbol None: on everything)."""
        self._disturbances.append((at, symbol, why))
        while len(self._disturbances) > 10_000:
            self._disturbances.popleft()

    def away(self, since: int, until: int) -> None:
        """The exchange did not run."""
        self._absences.append((since, until + RETURN_GRACE_MS, "the exchange was down"))

    def unreachable(self, since: int, until: int, why: str) -> None:
        """The exchange ran, and could not be heard or asked."""
        self._absences.append((since, until + GRACE_MS, why))

    def operator_asked(self, symbol: str, at: int) -> bool:
        """Whether an operator acted on the symbol within the grace before."""
        return any(act.symbol == symbol and 0 <= at - act.at <= GRACE_MS for act in self.terms.operator_acts)

    def reason_within(self, symbol: str, since: int, until: int) -> str | None:
        """The reason, if any, why a law may rest somewhere in this time."""
        return self._grace(symbol, since, until)[1]

    def away_at(self, at: int) -> str | None:
        """Why we could hear no prices at this time, or may not have heard one since; None if we could."""
        return next((why for since, over, why in self._absences if since <= at < over), None)

    def starts_within(self, since: int, until: int) -> int:
        """How often our process was started in this time, as far as the judge was told."""
        return sum(since <= absence.until <= until for absence in self.terms.absences if absence.why == PROCESS_DOWN)

    def remind(self, at: int, act: Callable[[int], None]) -> None:
        """Call `act` with the time once the timeline has passed `at`."""
        self._count += 1
        heapq.heappush(self._due, (at, self._count, act))

    def advance(self, now: int) -> None:
        """Call whatever was due before `now`."""
        while self._due and self._due[0][0] < now:
            at, _, act = heapq.heappop(self._due)
            act(at)

    def expect(
        self,
        law: str,
        symbol: str,
        since: int,
        within_ms: int,
        unmet: Callable[[int], bool],
        breach: Callable[[int], None],
    ) -> None:
        """Something must have come right `within_ms` of `since`; longer only as far as an excuse reaches."""
        excused: set[str] = set()

        def due(at: int) -> None:
            if not unmet(at):
                return
            deadline, why = self._grace(symbol, since, since + within_ms)
            if deadline <= at or why is None:
                breach(at)
                return
            if why not in excused:
                excused.add(why)
                self.excuse(law, why)
            self.remind(deadline, due)

        self.remind(since + within_ms, due)

    def _grace(self, symbol: str, since: int, deadline: int) -> tuple[int, str | None]:
        """The deadline as far as disturbances and absences move it, and the last reason that did."""
        why: str | None = None
        moved = True
        while moved:
            moved = False
            for at, where, what in self._disturbances:
                if where in (None, symbol) and since - GRACE_MS <= at <= deadline < at + GRACE_MS:
                    deadline, why, moved = at + GRACE_MS, what, True
            for begun, over, what in self._absences:
                if begun <= deadline < over and over > since:
                    deadline, why, moved = over, what, True
        return deadline, why
