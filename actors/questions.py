"""A gateway's questions: which of them still wait for their turn, and how those about a position are answered.

On the gateway's event loop, as the rest of its requests. Rules of this file: of questions that say the same only one
waits for its turn. Who hears nothing asks again after some seconds; where the budget is used up, the queue would grow
faster than it is worked off, and the answer to the one question that ends a life come last.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from datetime import datetime
from typing import Any

from actors.admission import Wiring
from actors.budget import Cost
from actors.messages import Perform
from adapters.exchange.interface import TradingClient, VenueFailure
from domain.position.effects import AskCandles, AskFills, AskPosition, Find
from domain.position.inputs import CandlesHeard, FillsListed, PositionHeard, QuestionFailed

Work = Callable[[], Coroutine[Any, Any, None]]


class Waiting:
    """What waits for its turn, by what it asks; the newest asker of each is answered."""

    def __init__(self, queue: Callable[[Work, Cost], object]) -> None:
        """`queue` takes work and its cost."""
        self._queue = queue
        self._newest: dict[Hashable, Work] = {}

    def add(self, key: Hashable, work: Work, cost: Cost) -> None:
        """Queue `work`, or let it take the place of what asks the same and has not begun."""
        waits = key in self._newest
        self._newest[key] = work
        if not waits:
            self._queue(lambda: self._begin(key), cost)

    async def _begin(self, key: Hashable) -> None:
        await self._newest.pop(key)()


def key_of(request: Perform) -> Hashable:
    """Two questions with the same key say the same."""
    effect = request.effect
    return request.fence.position_id, type(effect), effect.ref if isinstance(effect, Find) else None


class Questions:
    """About a position: answers as its owner hears them."""

    def __init__(
        self,
        wiring: Wiring,
        client: TradingClient,
        now: Callable[[], datetime],
        note_failure: Callable[[VenueFailure], None],
    ) -> None:
        """`note_failure` hears of everything that the venue refuses."""
        self._wiring = wiring
        self._client = client
        self._now = now
        self._note_failure = note_failure

    async def answer(self, request: Perform, effect: AskPosition | AskFills | AskCandles) -> object:
        """What the venue says, or that it said nothing."""
        try:
            match effect:
                case AskPosition():
                    return await self._position(request)
                case AskFills(since=since):
                    return await self._fills(request, since)
                case AskCandles(since=since):
                    return await self._candles(request, since)
        except VenueFailure as failure:
            self._note_failure(failure)
            return failed(effect, str(failure))

    async def _position(self, request: Perform) -> PositionHeard:
        asked_at = self._now()
        report = await self._client.position(request.symbol, request.side)
        return PositionHeard(report=report, asked_at=asked_at)

    async def _fills(self, request: Perform, since: datetime) -> FillsListed:
        fills = await self._client.fills(request.symbol, since)
        for fill in fills:
            self._wiring.lease.saw(fill.client_id, "executions")
        return FillsListed(fills=fills)

    async def _candles(self, request: Perform, since: datetime) -> CandlesHeard | QuestionFailed:
        """Extremes since a time. A minute that began before the position was opened counts by its close only."""
        candles = await self._client.mark_candles(request.symbol, since)
        if not candles:
            return QuestionFailed(what="candles", text="the venue listed no candle")
        position = self._wiring.owners.state(request.fence.position_id)
        opened_at = position.opened_at if position is not None else since
        lows = [c.low if c.opened_at >= opened_at else c.close for c in candles]
        highs = [c.high if c.opened_at >= opened_at else c.close for c in candles]
        return CandlesHeard(low=min(lows), high=max(highs))


def failed(effect: AskPosition | AskFills | AskCandles, text: str) -> QuestionFailed:
    """Nobody answered."""
    what = {AskPosition: "position", AskFills: "fills", AskCandles: "candles"}[type(effect)]
    return QuestionFailed(what=what, text=text)
