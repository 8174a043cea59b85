"""The judge: leads every line past the book and every fact past the laws, and keeps the record of disturbances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.oracle.asks import Ask, What
from tests.oracle.book import Book
from tests.oracle.budget import Budget
from tests.oracle.closing import OneExit
from tests.oracle.conduct import AtMostOnce, Evidence, HandsOff, OneWriter
from tests.oracle.court import GRACE_MS, Breach, Court, Terms
from tests.oracle.cover import Cover, NoExposureUnseen, NoHole
from tests.oracle.doubt import UnknownStaysUnknown
from tests.oracle.facts import Amended, Answered, Asked, By, Ended, Fact, Filled, Life, Meddled
from tests.oracle.law import Law
from tests.oracle.laws import NeverAddRisk, NoOrphan, OneStop, Ratchet
from tests.oracle.measures import Measures
from tests.oracle.ours import ENTRY
from tests.oracle.reader import AnyLine, ControlLine, SessionLine, read_lines
from tests.oracle.right_size import RightSize
from tests.oracle.sanity import SaneOrders

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
    UnknownStaysUnknown,
    SaneOrders,
    OneExit,
    Budget,
    NoExposureUnseen,
    RightSize,
    Evidence,
)
ELSEWHERE: dict[str, str] = {
    "S10": "what is written is in no timeline: the store, the spool and the crash points are read by their tests",
    "S11": "a timeline shows what is done upon an absence, not what was believed: S1, S4, S7 and S8 bring that",
    "L2": "orphans and duplicates are S6's and S5's; a phantom is in our book only",
    "L3": "the rules of trailing are not the exchange's to know",
    "L4": "actors are not seen from the exchange",
    "L5": "owners are not seen from the exchange; that a position is covered again is S1's",
    "L6": "messages are not seen; requests are bounded by S15",
    "L7": "alerts are not seen from the exchange",
}
"""Laws that no timeline can decide, and why; docs/correctness.md names the test that does."""
# 'Nothing to change': no refusal at all.
NO_CHANGE = frozenset({34040, 34036, 110025, 110026, 110027, 110043})
# What a test orders that is an act of an outsider or of the venue; prices are none, a fault tells when it strikes.
ACTS = frozenset(
    {"order", "stop", "position_stop", "cancel", "cancel_all", "leverage", "mode", "expire", "release", "liquidate",
     "adl", "halt", "contract", "account_cap", "rights", "cut_streams", "stall_streams", "down", "expire_listen_key"}
)  # fmt: skip
UNANSWERED_AFTER_MS = 1_000
# Refusals that our own mistakes earn are no excuse: parameters, precision, filters, credentials, duplicate ids.
OUR_FAULT = frozenset(
    {-1013, -1022, -1100, -1101, -1102, -1106, -1111, -1121, -2014, -2015, -4003, -4005, -4014, -4023, -4116, -4120,
     -4164, 10001, 10003, 10004, 10005, 10007, 33004, 110030, 110072, 110094}
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a timeline proves."""

    breaches: tuple[Breach, ...]
    excuses: Counter[tuple[str, str]]
    unjudged: Counter[tuple[str, str]]
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
            Meddled: [self._meddled],
            Amended: [self._amended],
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
            unjudged=self.court.unjudged,
            measures=self.measures,
            lives=tuple(self.book.past),
            open_lives=tuple(self.book.lives.values()),
        )

    # Disturbances: what an outsider or the exchange did, for which the laws grant five seconds.

    def _asked(self, fact: Asked) -> None:
        ask = fact.ask
        if ask.outsider:
            self.court.disturbed(ask.line.t, ask.symbol, f"an outsider's {ask.line.path}")
        elif ask.what is not What.QUESTION:
            self.court.remind(ask.line.t + UNANSWERED_AFTER_MS, lambda at: self._unanswered(ask, at))

    def _unanswered(self, ask: Ask, at: int) -> None:
        if ask.line.id in self.book.requests:
            self.court.disturbed(at, ask.symbol, "a request of ours got no answer")
            if at - ask.line.t < GRACE_MS:
                self.court.remind(at + UNANSWERED_AFTER_MS, lambda later: self._unanswered(ask, later))

    def _answered(self, fact: Answered) -> None:
        code = fact.line.code
        if fact.ask.what.trades and not fact.line.granted and code not in OUR_FAULT | NO_CHANGE:
            self.court.disturbed(fact.line.t, fact.ask.symbol, f"the exchange refused: {code}")

    def _meddled(self, fact: Meddled) -> None:
        line = fact.line
        if not isinstance(line, ControlLine):
            self.court.disturbed(line.t, line.params.get("symbol"), f"a fault struck: {line.what}")
            return
        if line.refused or line.command not in ACTS:
            return
        why = f"an outsider's {line.command}"
        self.court.disturbed(line.t, line.asked.get("symbol"), why)
        lasts_ms = line.asked.get("for_ms")
        if isinstance(lasts_ms, int):
            self.court.unreachable(line.t, line.t + lasts_ms, why)

    def _amended(self, fact: Amended) -> None:
        if fact.by is By.OUTSIDER and fact.order.is_stop:
            self.court.disturbed(fact.order.latest.t, fact.order.key[0], "a stop changed by outsider")

    def _filled(self, fact: Filled) -> None:
        order = fact.order
        if order is None or not order.kind:
            origin = "unknown" if order is None else order.latest.origin
            self.court.disturbed(fact.line.t, fact.line.symbol, f"a fill of origin {origin}")
        elif order.kind == ENTRY and fact.life.first_entry_at is None:
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
