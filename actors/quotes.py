"""Bid and ask of symbols that somebody is about to enter, asked for when they are needed.

Rules of this file: nobody waits. What is not known is asked for at the gateway, and the wish is taken up again when the
answer is there. A book that is followed by stream costs all day long, for every symbol that might be entered; one
question an entry is cheaper, and its answer is of the moment of the decision. Used by the desk's thread alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from actors import messages
from actors.messages import AskQuote, QuoteHeard
from actors.reporting import ReportingActor
from domain.entries.situation import Quote, Refusal, Wish

ANSWER_WITHIN_S = 3.0
GOOD_S = 2.0
FAILURE_STANDS_S = 1.0


@dataclass(slots=True)
class _Known:
    """An answer good until `until` (monotonic seconds), None: it is awaited."""

    until: float
    answer: Quote | Refusal | None


class Quotes:
    """Best prices by account and symbol."""

    def __init__(self, desk: ReportingActor) -> None:
        """`desk` is who asks and is answered."""
        self._desk = desk
        self._known: dict[tuple[str, str], _Known] = {}

    def quote(self, wish: Wish) -> Quote | Refusal | None:
        """Bid and ask, why they cannot be had, or None: they have just been asked for."""
        key, now = (wish.account, wish.symbol), self._desk.clock.monotonic()
        known = self._known.get(key)
        if known is not None and now < known.until:
            return known.answer
        if known is not None and known.answer is None:
            return self._settle(key, f"no answer within {ANSWER_WITHIN_S:g} s")
        self._known[key] = _Known(now + ANSWER_WITHIN_S, None)
        self._desk.tell(messages.gateway(wish.account), AskQuote(symbol=wish.symbol, reply_to=self._desk.name))
        return None

    def hear(self, heard: QuoteHeard) -> None:
        """What the gateway was answered."""
        key = (heard.account, heard.symbol)
        if heard.quote is None:
            self._settle(key, heard.error or "no answer")
        else:
            self._known[key] = _Known(self._desk.clock.monotonic() + GOOD_S, heard.quote)

    def _settle(self, key: tuple[str, str], error: str) -> Refusal:
        refusal = Refusal(code="no_bid_ask", figures={"symbol": key[1], "error": error})
        self._known[key] = _Known(self._desk.clock.monotonic() + FAILURE_STANDS_S, refusal)
        return refusal
