"""The mark prices that a gateway goes by: the feed's, or its own question's where the feed's has grown old.

On the gateway's event loop. Rules of this file: a price is as old as the older of two ages, since we heard it and since
the venue said it, so that a backlog of frames after a pause counts as old; an answer is as old as its question. Only
one question a symbol is under way; nobody waits for it longer than `WITHIN_S`, an entry than `ENTRY_WITHIN_S`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from loguru import logger

from actors.clock import Clock
from actors.marks import Mark, Marks
from adapters.exchange.interface import TradingClient, VenueFailure

WITHIN_S = 0.5
FRESH_S = ENTRY_WITHIN_S = 1.5
"""Both venues repeat a price each second. With the order's way this is less than the two seconds of S13's judge.
An entry waits that long for an answer: nothing is open yet, and an older answer is of no use.
"""


class MarkQuestions:
    """One gateway's."""

    def __init__(
        self, account: str, marks: Marks, client: TradingClient, clock: Clock, charge: Callable[[], object]
    ) -> None:
        """`charge` hears of each question that leaves."""
        self._account = account
        self._marks = marks
        self._client = client
        self._clock = clock
        self._charge = charge
        self._answers: dict[str, Mark] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    def fresh(self, symbol: str) -> Mark | None:
        """A price that is young enough to send a move upon."""
        heard, answered = self._marks.get(self._account, symbol), self._answers.get(symbol)
        if heard is not None and max(self._since_heard(heard), self._since_said(heard)) <= FRESH_S:
            return heard
        if answered is not None and self._since_heard(answered) <= FRESH_S:
            return answered
        return None

    def newest(self, symbol: str) -> Mark | None:
        """The best price there is, however old."""
        known = (self._marks.get(self._account, symbol), self._answers.get(symbol))
        return self.fresh(symbol) or max((m for m in known if m is not None), key=lambda m: m.at, default=None)

    async def ask(self, symbol: str, within_s: float = WITHIN_S) -> None:
        """Have a price asked for, for a moment only; an answer that comes later is taken for as old as it is."""
        question = self._asking.get(symbol)
        if question is None:
            question = self._asking[symbol] = asyncio.get_running_loop().create_task(self._question(symbol))
        await asyncio.wait((question,), timeout=within_s)
        if self._asking.get(symbol) is question:
            del self._asking[symbol]
        if question.done():
            question.result()  # an error of ours is its asker's
        else:
            late = f"no answer within {within_s} s"
            logger.warning("MARK_UNKNOWN account={} symbol={} error={!r}", self._account, symbol, late)

    async def _question(self, symbol: str) -> None:
        asked_at = self._clock.now()
        self._charge()
        try:
            mark = await self._client.mark_price(symbol)
        except VenueFailure as failure:
            logger.warning("MARK_UNKNOWN account={} symbol={} error={!r}", self._account, symbol, str(failure))
            return
        self._answers[symbol] = Mark(price=mark.price, at=mark.at, heard_at=asked_at)

    def _since_heard(self, mark: Mark) -> float:
        return (self._clock.now() - mark.heard_at).total_seconds()

    def _since_said(self, mark: Mark) -> float:
        return (self._client.venue_now() - mark.at).total_seconds()
