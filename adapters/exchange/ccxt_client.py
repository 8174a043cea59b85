"""The trading client of one account: a venue module's requests, with outcomes instead of exceptions.

Rules of the file: every request goes through `_ask`, once; nothing is retried here, the caller decides. A request after
which an order may exist ends as Unknown, never as Rejected (LAWS S12).
Times in reports of positions are the venue's: our clock, put right by the difference measured at the last
synchronisation, so that they compare with the times of fills.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import aiohttp
from loguru import logger

from adapters.exchange.access import AccountAccess
from adapters.exchange.accounts import gather
from adapters.exchange.error_codes import Effect
from adapters.exchange.interface import Allowance, Balance, Candle, Holding, MarkPrice, RateLimit, VenueFailure
from adapters.exchange.outcomes import ClassifiedFailure, Verdict, classify
from adapters.exchange.transport import Receipt, open_session, receipt
from adapters.exchange.venue import CANDLE_SPANS, MOST_CANDLES, Capabilities, Venue, insanity, row_of_side
from domain.accounts import AccountFacts
from domain.entries.situation import Quote
from domain.instrument import Instrument, PositionSide
from domain.orders import (
    Accepted,
    AccountSnapshot,
    Answer,
    CancelOutcome,
    CancelResult,
    Fill,
    Found,
    NoAnswer,
    NotFound,
    OrderIntent,
    OrderRef,
    Outcome,
    PositionReport,
    Rejected,
    RejectReason,
    Unknown,
)

T = TypeVar("T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RESYNCHRONISE_S = 1.0


class CcxtTradingClient:
    """Implements TradingClient. Belongs to the event loop on which `connect` was awaited."""

    def __init__(self, access: AccountAccess, venue: Venue, now: Callable[[], datetime]) -> None:
        """`now` is our clock, in UTC."""
        self._access = access
        self._venue = venue
        self._now = now
        self._api: Any = None
        self._session: aiohttp.ClientSession | None = None
        self._instruments: Mapping[str, Instrument] = {}
        self._ahead = timedelta(0)
        self._synchronised = 0
        self._synchronising = asyncio.Lock()
        self._allowance = Allowance()
        self._proof_after = timedelta(milliseconds=access.receive_window_ms + access.skew_margin_ms)

    @property
    def capabilities(self) -> Capabilities:
        """What the venue can do."""
        return self._venue.capabilities

    @property
    def limits(self) -> tuple[RateLimit, ...]:
        """The venue's limits on our requests."""
        return self._venue.capabilities.limits

    @property
    def allowance(self) -> Allowance:
        """What the venue's latest answer said of our limits."""
        return self._allowance

    def venue_now(self) -> datetime:
        """The venue's time: ours, put right by the difference that was measured last."""
        return self._venue_time(self._now())

    async def connect(self) -> Mapping[str, Instrument]:
        """Load the instruments, synchronise the clock."""
        if self._api is None:
            self._api = self._venue.open(self._access)
            self._session = open_session(self._api.cafile)
            self._api.session = self._session
            self._api.own_session = False
        # The clock comes second: the first request pays for the connection, which would count as being ahead.
        instruments = await self.instruments()
        await self.synchronise()
        return instruments

    async def instruments(self) -> Mapping[str, Instrument]:
        """Load the instruments again; orders are judged by the new ones from then on. Raises VenueFailure."""
        self._instruments = await self._ask(self._venue.instruments)
        return self._instruments

    async def synchronise(self) -> None:
        """Measure how far our clock is ahead of the venue's. Raises VenueFailure."""
        await self._synchronise(self._synchronised)

    async def account_facts(self) -> AccountFacts:
        """What the venue says of the account, all questions at the same time; those that fail are told of in it."""
        asked = self._venue.account_questions(self._access)
        questions = {name: partial(self._ask, question) for name, question in asked.items()}
        facts = await gather({"the venue's clock": self._clock, **questions}, self._now())
        return facts.joined(AccountFacts(conditional_limit=self._venue.capabilities.conditional_orders))

    async def place(self, intent: OrderIntent) -> Outcome:
        """Send one order, once."""
        sent_at = self._now()
        wrong = insanity(intent, self._instruments.get(intent.symbol), self._venue.capabilities)
        if wrong is not None:
            return Rejected(
                client_id=intent.client_id, reason=RejectReason.INSANE, code="local", text=wrong, sent_at=sent_at
            )
        try:
            exchange_id, report = await self._ask(lambda api: self._venue.place(api, intent))
        except VenueFailure as failure:
            standing = self._venue.standing(intent) if _effect(failure) is Effect.ALREADY else None
            if standing is None:
                return self._not_accepted(intent, failure, sent_at)
            exchange_id, report = standing, None
        return Accepted(
            client_id=intent.client_id,
            exchange_id=exchange_id,
            report=report,
            sent_at=sent_at,
            answered_at=self._now(),
        )

    async def cancel(self, ref: OrderRef) -> CancelOutcome:
        """Cancel one order."""
        try:
            await self._ask(lambda api: self._venue.cancel(api, ref))
        except VenueFailure as failure:
            return CancelOutcome(
                ref=ref, result=_cancel_result(failure), code=failure.code, text=failure.text, answered_at=self._now()
            )
        return CancelOutcome(ref=ref, result=CancelResult.DONE, code="", text="", answered_at=self._now())

    async def find(self, ref: OrderRef) -> Answer:
        """Ask what became of one order: by exchange id if known, else by client id."""
        asked_at = self._now()
        try:
            report = await self._ask(lambda api: self._venue.order(api, ref))
        except VenueFailure as failure:
            if _effect(failure) is Effect.GONE:
                return NotFound(ref=ref, asked_at=asked_at)
            return NoAnswer(ref=ref, text=str(failure), retry_after_s=failure.retry_after_s)
        return Found(ref=ref, report=report, asked_at=asked_at)

    async def snapshot(self, held: Collection[Holding] = ()) -> AccountSnapshot:
        """Positions and all open orders, asked at the same time. Raises VenueFailure if any part fails.

        One of `held` that the venue did not list is asked for by its symbol: an explicit zero row is the proof (S11).
        """
        asked_at = self._now()
        at = self._venue_time(asked_at)
        try:
            async with asyncio.TaskGroup() as together:
                positions = together.create_task(self._ask(lambda api: self._venue.positions(api, at)))
                orders = [together.create_task(self._ask(question)) for question in self._venue.open_orders()]
                listed = await positions
                shown = {(row.symbol, row.position_side) for row in listed}
                left_out = {each[0] for each in held if each not in shown and (each[0], None) not in shown}
                named = [together.create_task(self._rows_of(symbol)) for symbol in sorted(left_out)]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return AccountSnapshot(
            account=self._access.account,
            asked_at=asked_at,
            answered_at=self._now(),
            positions=(*listed, *_unlisted(shown, (row for rows in named for row in rows.result()))),
            orders=tuple(report for part in orders for report in part.result()),
            left_out=len(named),
        )

    async def symbol_snapshot(self, symbol: str, *, rows: bool = True) -> AccountSnapshot:
        """The rows and open orders of one symbol, asked at the same time. Raises VenueFailure if any part fails."""
        asked_at = self._now()
        try:
            async with asyncio.TaskGroup() as together:
                shown = [together.create_task(self._rows_of(symbol))] if rows else []
                orders = [together.create_task(self._ask(question)) for question in self._venue.open_orders(symbol)]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return AccountSnapshot(
            account=self._access.account,
            asked_at=asked_at,
            answered_at=self._now(),
            positions=tuple(row for part in shown for row in part.result()),
            orders=tuple(report for part in orders for report in part.result()),
        )

    async def position(self, symbol: str, side: PositionSide | None) -> PositionReport:
        """One position, an explicit zero row when flat; `side` counts in hedge mode only. Raises VenueFailure."""
        at = self._venue_time(self._now())
        shown = side if self._access.hedge_mode else None

        async def question(api: Any) -> PositionReport:
            return row_of_side(await self._venue.position(api, symbol, at), symbol, shown)

        return await self._ask(question)

    async def _rows_of(self, symbol: str) -> tuple[PositionReport, ...]:
        at = self._venue_time(self._now())
        return await self._ask(lambda api: self._venue.position(api, symbol, at))

    async def fills(self, symbol: str, since: datetime) -> tuple[Fill, ...]:
        """All executions of the account on a symbol since a time, oldest first. Raises VenueFailure."""
        until = self._venue_time(self._now())
        return await self._ask(lambda api: self._venue.fills(api, symbol, since, until))

    async def balance(self) -> Balance:
        """Margin balance. Raises VenueFailure."""
        return await self._ask(self._venue.balance)

    async def mark_price(self, symbol: str) -> MarkPrice:
        """The mark price now. Raises VenueFailure."""
        return await self._ask(lambda api: self._venue.mark_price(api, symbol))

    async def quote(self, symbol: str) -> Quote:
        """Bid and ask now. Raises VenueFailure."""
        return await self._ask(lambda api: self._venue.quote(api, symbol))

    async def mark_candles(self, symbol: str, since: datetime) -> tuple[Candle, ...]:
        """One-minute candles of the mark price from the minute of `since` on. Raises VenueFailure."""
        until = self._venue_time(self._now())
        return await self._ask(lambda api: self._venue.mark_candles(api, symbol, since, until))

    async def closed_candles(
        self, symbol: str, span: timedelta, count: int, closed_at: datetime
    ) -> tuple[Candle, ...]:
        """Closed candles of the traded price. Raises VenueFailure, ValueError."""
        if span not in CANDLE_SPANS or not 0 < count <= MOST_CANDLES:
            raise ValueError(f"span={span}, count={count}: at most {MOST_CANDLES} candles of a span that venues have")
        since = closed_at - count * span
        candles = await self._ask(lambda api: self._venue.candles(api, symbol, span, since, count))
        # Our clock may be ahead: what the venue has not closed yet still changes. Its time, taken late, errs safely.
        over = min(closed_at, self._venue_time(self._now()))
        return tuple(candle for candle in candles if candle.opened_at + span <= over)

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        """Set leverage; 'not modified' is success. Raises VenueFailure."""
        try:
            await self._ask(lambda api: self._venue.set_leverage(api, symbol, leverage))
        except VenueFailure as failure:
            if _effect(failure) is not Effect.ALREADY:
                raise

    async def close(self) -> None:
        """Give the connections back; requests under way fail and are reported as such."""
        api, self._api = self._api, None
        session, self._session = self._session, None
        if api is not None:
            await api.close()
        if session is not None:
            await session.close()

    async def _ask(self, question: Callable[[Any], Awaitable[T]]) -> T:
        """One request (or one list's pages). Whatever goes wrong in it is raised as VenueFailure."""
        api = self._require_api()
        synchronised = self._synchronised
        with receipt() as noted:
            try:
                return await question(api)
            except VenueFailure:
                raise
            # Any failure at all after the first byte may mean that the order exists: classified, never let through.
            except Exception as error:  # noqa: BLE001
                verdict = classify(error, self._venue.codes, noted, self._access.secrets)
            finally:
                self._note_usage(noted)
        verdict = self._told_to_wait(verdict)
        if verdict.reason is RejectReason.CLOCK:
            await self._resynchronise(synchronised)
        raise ClassifiedFailure(verdict)

    def _require_api(self) -> Any:
        """Raises VenueFailure: while the venue bans us nothing leaves, each request would prolong the ban."""
        if self._api is None:
            text = f"account={self._access.account}: not connected"
            raise VenueFailure(RejectReason.TRANSIENT, "local", text, certain=True)
        until = self._allowance.banned_until
        if until is not None and self._now() < until:
            left = math.ceil((until - self._now()).total_seconds())
            text = f"not sent: the venue bans our address until {until:%H:%M:%S} UTC"
            raise VenueFailure(RejectReason.RATE_LIMIT, "local", text, certain=True, retry_after_s=left)
        return self._api

    def _note_usage(self, noted: Receipt) -> None:
        usage = self._venue.usage(noted.headers, self._venue_ms(), noted.path) if noted.headers else ()
        if usage:
            self._allowance = replace(self._allowance, usage=usage)

    def _told_to_wait(self, verdict: Verdict) -> Verdict:
        """How long to wait after 'too much': what the header said, the end of a ban, or that of the exhausted count."""
        if verdict.reason is not RejectReason.RATE_LIMIT:
            return verdict
        wait: float | None = verdict.retry_after_s
        if wait is None and verdict.banned_until_ms is not None:
            wait = max((verdict.banned_until_ms - self._venue_ms()) / 1000, 1)
        if wait is None and verdict.banned:
            wait = self._venue.ban_s
        if wait is None:
            wait = max((use.resets_in_s for use in self._allowance.usage if use.used >= use.most), default=None)
        if wait is None:
            return verdict
        if verdict.banned:
            self._allowance = replace(self._allowance, banned_until=self._now() + timedelta(seconds=wait))
        return replace(verdict, retry_after_s=math.ceil(wait))

    async def _clock(self) -> AccountFacts:
        """How far our clock is ahead, by half of the way there and back exact. Raises VenueFailure."""
        before = self._now()
        venue_ms = await self._ask(self._venue.server_time_ms)
        middle = before + (self._now() - before) / 2
        return AccountFacts(clock_ahead_ms=(middle - _EPOCH) // timedelta(milliseconds=1) - venue_ms)

    async def _resynchronise(self, seen: int) -> None:
        """After 'your clock is off', for a moment only: the refusal must not wait long. The next one asks again."""
        try:
            async with asyncio.timeout(_RESYNCHRONISE_S):
                await self._synchronise(seen)
        except (VenueFailure, TimeoutError) as failure:
            logger.warning("CLOCK_SYNC_FAILED account={} error={!r}", self._access.account, failure)

    async def _synchronise(self, seen: int) -> None:
        """Measure how far our clock is ahead of the venue's, unless somebody did since `seen`."""
        async with self._synchronising:
            if self._synchronised != seen:
                return
            with receipt() as noted:
                try:
                    venue_ms = await self._venue.server_time_ms(self._require_api())
                except VenueFailure:
                    raise
                except Exception as error:  # noqa: BLE001 - classified, as in _ask
                    verdict = classify(error, self._venue.codes, noted, self._access.secrets)
                    raise ClassifiedFailure(self._told_to_wait(verdict)) from None
            # Taken after the reply, so that what we make of it lags by the way back. A stamp that is early is refused,
            # and a reading that is dated late would hide a fill; the other way round both are harmless.
            self._api.options["timeDifference"] = self._api.milliseconds() - venue_ms
            self._ahead = self._now() - _EPOCH - timedelta(milliseconds=venue_ms)
            self._synchronised += 1

    def _venue_time(self, ours: datetime) -> datetime:
        return ours - self._ahead

    def _venue_ms(self) -> int:
        return (self.venue_now() - _EPOCH) // timedelta(milliseconds=1)

    def _not_accepted(self, intent: OrderIntent, failure: VenueFailure, sent_at: datetime) -> Rejected | Unknown:
        if failure.certain:
            return Rejected(
                client_id=intent.client_id,
                reason=failure.reason,
                code=failure.code,
                text=failure.text,
                sent_at=sent_at,
                retry_after_s=failure.retry_after_s,
            )
        return Unknown(
            client_id=intent.client_id,
            text=str(failure),
            sent_at=sent_at,
            absence_proof_at=sent_at + self._proof_after,
        )


def _unlisted(
    shown: Collection[tuple[str, PositionSide | None]], rows: Iterable[PositionReport]
) -> Iterable[PositionReport]:
    return (row for row in rows if (row.symbol, row.position_side) not in shown)


def _effect(failure: VenueFailure) -> Effect:
    return failure.effect if isinstance(failure, ClassifiedFailure) else Effect.NONE


def _cancel_result(failure: VenueFailure) -> CancelResult:
    if _effect(failure) in (Effect.GONE, Effect.ALREADY):
        return CancelResult.GONE
    return CancelResult.REFUSED if failure.certain else CancelResult.UNKNOWN
