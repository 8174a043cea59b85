"""A gateway's answers to whoever needs candles: each question is answered once, with candles or with what went wrong.

On the gateway's event loop, as the rest of its requests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from actors.messages import AskMarkCandles, AskTradedCandles, MarkCandles, TradedCandles
from actors.reporting import ReportingActor
from adapters.exchange.interface import Candle, TradingClient, VenueFailure

MINUTE = timedelta(minutes=1)
PAGE = 1500


class CandleQuestions:
    """Used by one gateway."""

    def __init__(
        self, account: str, client: TradingClient, actor: ReportingActor, note_failure: Callable[[VenueFailure], None]
    ) -> None:
        """Answers in the name of `actor`; `note_failure` hears of everything that the venue refuses."""
        self._account = account
        self._client = client
        self._actor = actor
        self._note_failure = note_failure

    async def mark(self, ask: AskMarkCandles) -> None:
        """One-minute candles of the mark price."""
        nothing = MarkCandles(account=self._account, symbol=ask.symbol, candles=())
        await self._answer(ask.reply_to, nothing, self._client.mark_candles(ask.symbol, ask.since))

    async def traded(self, ask: AskTradedCandles) -> None:
        """Closed candles of the traded price."""
        nothing = TradedCandles(account=self._account, symbol=ask.symbol, closed_at=ask.closed_at, candles=())
        span = timedelta(minutes=ask.minutes)
        question = self._client.closed_candles(ask.symbol, span, ask.count, ask.closed_at)
        await self._answer(ask.reply_to, nothing, question)

    async def _answer(
        self, reply_to: str, nothing: MarkCandles | TradedCandles, question: Awaitable[tuple[Candle, ...]]
    ) -> None:
        try:
            answer = replace(nothing, candles=await question)
        except VenueFailure as failure:
            self._note_failure(failure)
            answer = replace(nothing, error=str(failure))
        except Exception as error:
            self._actor.tell(reply_to, replace(nothing, error=f"{type(error).__name__}: {error}"))
            raise
        self._actor.tell(reply_to, answer)


def page_weight(count: int) -> int:
    """What the venue counts for a page of so many candles (Binance's figures, the highest of the venues)."""
    return next((weight for most, weight in ((99, 1), (499, 2), (1000, 5)) if count <= most), 10)


def weight_since(since: datetime, now: datetime) -> int:
    """The same for all pages of one-minute candles from a time on."""
    pages, rest = divmod(max((now - since) // MINUTE, 0) + 2, PAGE)
    return pages * page_weight(PAGE) + page_weight(rest)
