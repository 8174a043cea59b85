"""S12: what is sent while the outcome of an earlier request is unknown (LAWS.md, DESIGN 3 'Receive window').

Rules of this file: a request is in doubt until the venue has refused it, shown its order (the private stream tells), or
been asked anything about the symbol's orders since. A timeline cannot show whether an answer was believed too early:
that is S7's and S5's, by what is accepted.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.oracle.asks import Ask, What
from tests.oracle.book import Book
from tests.oracle.court import Court
from tests.oracle.facts import Accepted, Answered, Asked
from tests.oracle.law import Ears, Law
from tests.oracle.measures import Measures
from tests.oracle.ours import ENTRY, STOP

# Answers that say nothing of what became of the request (VENUES D, kind U).
UNKNOWN_CODES = frozenset({-1000, -1001, -1006, -1007, 5004, 10000, 10016, 170007})
WINDOW_MS = 2_000
"""The receive window: a request of ours that is older can no longer be carried out."""


@dataclass(slots=True, kw_only=True)
class Sent:
    """An order request of ours. `refused` and `shown` are what the venue has said of it, `asked` that we have asked."""

    ask: Ask
    refused: bool = False
    granted: bool = False
    shown: bool = False
    asked: bool = False

    def in_doubt(self, now: int) -> bool:
        """Whether nobody can know yet what became of it."""
        young = now - self.ask.line.t <= WINDOW_MS
        return not (self.refused or self.granted or self.shown or self.asked) and young


class UnknownStaysUnknown(Law):
    """S12. An entry in doubt is never sent again; beside a stop in doubt one new stop goes out, and no third."""

    name = "S12"

    def __init__(self, book: Book, court: Court, measures: Measures) -> None:
        super().__init__(book, court, measures)
        self._by_request: dict[int, Sent] = {}
        self._entries: dict[int, Sent] = {}
        self._stops: dict[int, list[Sent]] = {}

    def hears(self) -> Ears:
        return {Asked: self._asked, Answered: self._answered, Accepted: self._accepted}

    def _asked(self, fact: Asked) -> None:
        ask = fact.ask
        if ask.what is What.QUESTION:
            self._question(ask)
        elif ask.what is What.PLACE and ask.ident is not None:
            sent = Sent(ask=ask)
            self._by_request[ask.line.id] = sent
            if ask.ident.kind == ENTRY:
                self._entry(sent, ask.ident.position)
            elif ask.ident.kind == STOP:
                self._stop(sent, ask.ident.position)

    def _question(self, ask: Ask) -> None:
        if "rder" not in ask.line.path:
            return
        for sents in self._stops.values():
            for sent in sents:
                sent.asked = sent.asked or ask.symbol in (None, sent.ask.symbol)

    def _entry(self, sent: Sent, position: int) -> None:
        earlier = self._entries.get(position)
        again = earlier is not None and earlier.ask.ident != sent.ask.ident
        if earlier is not None and again and not earlier.refused and not earlier.shown:
            self.breach(
                sent.ask.line.t, str(sent.ask.symbol), "an entry is sent again, and the first may still be carried out",
                earlier.ask.line, sent.ask.line,
            )  # fmt: skip
        self._entries[position] = sent

    def _stop(self, sent: Sent, position: int) -> None:
        now = sent.ask.line.t
        known = [s for s in self._stops.get(position, ()) if now - s.ask.line.t <= WINDOW_MS]
        # The same id twice is one request that the network has delivered twice.
        others = [s for s in known if s.ask.ident != sent.ask.ident and not s.refused]
        first = next((s for s in others if s.in_doubt(now)), None)
        if first is not None and len(others) > 1:
            self.breach(
                now, str(sent.ask.symbol), f"{len(others) + 1} stops are sent while the first is in doubt",
                *(s.ask.line for s in (*others, sent)),
            )  # fmt: skip
        self._stops[position] = [*known, sent]

    def _answered(self, fact: Answered) -> None:
        sent = self._by_request.pop(fact.ask.line.id, None)
        if sent is None:
            return
        unknown = fact.line.code in UNKNOWN_CODES or fact.line.status >= 500
        sent.granted = fact.line.granted
        sent.refused = not fact.line.granted and not unknown

    def _accepted(self, fact: Accepted) -> None:
        ident = fact.order.ident
        if ident is None or fact.order.parent is not None:
            return
        entry = self._entries.get(ident.position)
        for sent in (*((entry,) if entry is not None else ()), *self._stops.get(ident.position, ())):
            sent.shown = sent.shown or sent.ask.ident == ident
