"""The judge: leads every line past the book and every fact past the laws, and keeps the record of disturbances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.oracle.book import Book
from tests.oracle.conduct import AtMostOnce, Budget, Evidence, HandsOff, OneWriter, SaneOrders
from tests.oracle.court import GRACE_MS, Breach, Court, Terms
from tests.oracle.cover import Cover, NoExposureUnseen, NoHole
from tests.oracle.facts import Answered, Asked, By, Ended, Fact, Filled, Life
from tests.oracle.law import Law
from tests.oracle.laws import NeverAddRisk, NoOrphan, OneStop, Ratchet
from tests.oracle.measures import Measures
from tests.oracle.ours import ENTRY
from tests.oracle.reader import AnyLine, RequestLine, SessionLine, read_lines

LAWS: tuple[type[Law], ...] = (
    Cover,
    NeverAddRisk,
    Ratchet,
    NoHole,
    OneStop,
    NoOrphan,
    AtMostOnce,
    OneWriter,
    HandsOff,
    SaneOrders,
    Budget,
    NoExposureUnseen,
    Evidence,
)
UNANSWERED_AFTER_MS = 1_000
# Refusals that our own mistakes earn are no excuse: parameters, precision, filters, credentials, duplicate ids.
OUR_FAULT = frozenset(
    {-1013, -1022, -1100, -1101, -1102, -1106, -1111, -1121, -2014, -2015, -4003, -4005, -4014, -4023, -4116, -4120,
     -4164}
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a timeline proves."""

    breaches: tuple[Breach, ...]
    excuses: Counter[tuple[str, str]]
    measures: Measures
    lives: tuple[Life, ...]
    open_lives: tuple[Life, ...]

    @property
    def clean(self) -> bool:
        """Whether no law was broken."""
        return not self.breaches

    def broken(self) -> set[str]:
        """The names of the laws that were broken."""
        return {breach.law for breach in self.breaches}


class Judge:
    """Judges one account's timeline, online: `hear` each line in order, then `verdict`."""

    def __init__(self, terms: Terms | None = None) -> None:
        self.court = Court(terms or Terms())
        self.book = Book()
        self.measures = Measures()
        self._laws = [law(self.book, self.court, self.measures) for law in LAWS]
        self._ears: dict[type[Fact], list[Callable[..., None]]] = {
            Asked: [self._asked],
            Answered: [self._answered],
            Filled: [self._filled],
            Ended: [self._ended],
        }
        for law in self._laws:
            for fact, ear in law.hears().items():
                self._ears.setdefault(fact, []).append(ear)

    def hear(self, line: AnyLine) -> None:
        """Take the next line."""
        if isinstance(line, SessionLine) and line.event == "start" and self.book.now:
            # Before anything falls due that could not be done while nobody answered.
            self.court.away(self.book.now, line.t)
        self.court.advance(line.t)
        self.measures.lines += 1
        self.measures.first_at = self.measures.first_at or line.t
        self.measures.last_at = max(self.measures.last_at, line.t)
        for fact in self.book.take(line):
            for ear in self._ears.get(type(fact), ()):
                ear(fact)

    def verdict(self) -> Verdict:
        """What was found. Whatever falls due after the last line stays undecided."""
        for law in self._laws:
            law.over()
        return Verdict(
            breaches=tuple(self.court.breaches),
            excuses=self.court.excuses,
            measures=self.measures,
            lives=tuple(self.book.past),
            open_lives=tuple(self.book.lives.values()),
        )

    # Disturbances: what an outsider or the exchange did, for which the laws grant five seconds.

    def _asked(self, fact: Asked) -> None:
        if fact.outsider:
            self.court.disturbed(fact.line.t, fact.symbol, f"an outsider's {fact.line.path}")
        elif fact.line.method != "GET":
            self.court.remind(fact.line.t + UNANSWERED_AFTER_MS, lambda at: self._unanswered(fact.line, at))

    def _unanswered(self, line: RequestLine, at: int) -> None:
        if line.id in self.book.requests:
            self.court.disturbed(at, line.params.get("symbol"), "a request of ours got no answer")
            if at - line.t < GRACE_MS:
                self.court.remind(at + UNANSWERED_AFTER_MS, lambda later: self._unanswered(line, later))

    def _answered(self, fact: Answered) -> None:
        if fact.request.method == "POST" and fact.line.status >= 400 and fact.line.code not in OUR_FAULT:
            self.court.disturbed(
                fact.line.t, fact.request.params.get("symbol"), f"the exchange refused: {fact.line.code}"
            )

    def _filled(self, fact: Filled) -> None:
        order = fact.order
        if order is None or order.ident is None:
            origin = "unknown" if order is None else order.latest.origin
            self.court.disturbed(fact.line.t, fact.line.symbol, f"a fill of origin {origin}")
        elif order.ident.kind == ENTRY and fact.life.first_entry_at is None:
            fact.life.first_entry_at = fact.line.t

    def _ended(self, fact: Ended) -> None:
        if fact.life is not None and fact.order.is_stop and fact.by in (By.OUTSIDER, By.EXCHANGE):
            status = fact.order.latest.status.lower()
            self.court.disturbed(fact.order.latest.t, fact.order.key[0], f"a stop {status} by {fact.by}")


def judge(lines: Iterable[AnyLine], terms: Terms | None = None) -> Verdict:
    """The verdict on these lines. Raises TimelineError (of the reader) if they cannot be trusted."""
    court = Judge(terms)
    for line in lines:
        court.hear(line)
    return court.verdict()


def judge_file(path: Path, terms: Terms | None = None) -> Verdict:
    """The verdict on a timeline file. Raises TimelineError, OSError."""
    return judge(read_lines(path), terms)
