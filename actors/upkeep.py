"""What a gateway does of its own accord: have the account checked, keep clock and filters fresh, wait out maintenance.

Runs on the gateway's event loop; its requests queue as questions, so nothing here delays an order. Rules of this file:
- What may have changed is looked at again at once: the key when the venue refuses it, the instruments when an order
  breaks a filter. An order that broke one is answered only when the new filters are known (or a second has passed), so
  that its owner decides anew by them.
- An entry that the venue refuses for want of margin: what we knew of the money is wrong. Entries are closed a while,
  and until the balance has been read anew; then the desk's own check goes by it (SYSTEM C2).
- Maintenance: entries closed, a probe now and then; when the venue answers, entries open and the account is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from loguru import logger

from actors import costs, messages
from actors.account_check import AccountCheck, Reporter
from actors.budget import Cost
from actors.messages import ReconcileNow
from actors.owners import Owners
from actors.standing import FUNDS, MAINTENANCE, Standing
from actors.switch_messages import AskFunds
from actors.turns import Turns
from adapters.exchange.interface import TradingClient, Usage, VenueFailure
from domain.accounts import AccountFacts, Unread
from domain.catalogue import EventType
from domain.instrument import Instrument
from domain.orders import Priority, RejectReason
from domain.position.inputs import InstrumentHeard
from domain.position.state import Position

SYNCHRONISE_EVERY_S = 300.0
INSTRUMENTS_EVERY_S = 86_400.0
FIRST_CHECK_WITHIN_S = 10.0
INSTRUMENTS_APART_S = 5.0
FILTERS_KNOWN_WITHIN_S = 1.0
PROBE_S = (1.0, 15.0)
FUNDS_PAUSE_S = 15.0
NO_FUNDS = RejectReason.NO_FUNDS.value


class Upkeep:
    """One gateway's."""

    def __init__(
        self,
        account: str,
        client: TradingClient,
        turns: Turns,
        actor: Reporter,
        instruments: dict[str, Instrument],
        owners: Owners,
        standing: Standing,
        check: AccountCheck,
    ) -> None:
        """`instruments` is shared by threads and only ever grows."""
        self._account = account
        self._client = client
        self._turns = turns
        self._actor = actor
        self._instruments = instruments
        self._owners = owners
        self._standing = standing
        self._check = check
        self._check_wanted = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._usage: tuple[Usage, ...] = ()
        self._banned_until: datetime | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed_at: float | None = None
        self._maintenance = False
        self._short = False

    async def begin(self, *, first: bool) -> None:
        """Check the account, then go on by the clock. Only a gateway that nobody judged it before waits.

        A later one has positions to protect, and its account stands as it was last found.
        """
        self._take_over()
        self._start(self._every(SYNCHRONISE_EVERY_S, self._client.synchronise))
        self._start(self._every(INSTRUMENTS_EVERY_S, lambda: self._refresh("daily")))
        if first:
            self._turns.charge(costs.CHECK)
            try:
                async with asyncio.timeout(FIRST_CHECK_WITHIN_S):
                    await self._read_account()
            except TimeoutError:
                text = f"no answer within {FIRST_CHECK_WITHIN_S:.0f} s"
                late = Unread(question="the account", reason=RejectReason.TRANSIENT, code="local", text=text)
                self._check.judge(AccountFacts(unread=(late,)))
        self._start(self._checks())

    def _take_over(self) -> None:
        """What the gateway before this one waited for: it may be over before a request fails for it again."""
        if self._standing.maintenance is not None:
            self._maintenance = True
            self._start(self._probe())
        if self._standing.short_of_funds is not None:
            self._short = True
            self._start(self._until_read())

    # What the gateway tells.

    def failed(self, reason: RejectReason) -> None:
        """A request ended like this: some reasons ask for more than an answer to its sender."""
        if reason is RejectReason.MAINTENANCE:
            self._maintain()
        elif self._check.doubt(reason):
            self._check_wanted.set()

    def short_of_funds(self, text: str) -> None:
        """The venue refused an entry for want of margin."""
        if not self._short:
            self._short = True
            self._standing.close(FUNDS, "the exchange has refused an entry for want of margin")
            self._actor.report(EventType.ACCOUNT_DOUBTFUL, {"code": NO_FUNDS, "reason": text})
            self._start(self._until_read())

    def answered(self) -> None:
        """A request is over: heed what the venue's answer said of our limits."""
        allowance = self._client.allowance
        if allowance.usage is not self._usage:
            self._usage = allowance.usage
            self._turns.correct(allowance.usage)
        until = allowance.banned_until
        if until is not None and until != self._banned_until:
            self._banned_until = until
            seconds = (until - self._actor.clock.now()).total_seconds()
            self._turns.pause(seconds)
            self._actor.report(EventType.VENUE_BANNED, {"until": until.isoformat(), "seconds": round(seconds)})

    def outdated(self, position: Position | None) -> bool:
        """Whether a position decides by filters that are no longer in force; it is told the new ones then."""
        instrument = None if position is None else self._instruments.get(position.symbol)
        if position is None or instrument is None or instrument == position.instrument:
            return False
        self._actor.tell(messages.position(position.id), InstrumentHeard(instrument=instrument))
        return True

    async def filter_broken(self) -> None:
        """The venue says that an order broke a filter: have the filters read again before its owner hears so."""
        now = self._actor.clock.monotonic()
        if self._refreshing is None or self._refreshing.done():
            if self._refreshed_at is not None and now - self._refreshed_at < INSTRUMENTS_APART_S:
                return
            self._refreshed_at = now
            self._refreshing = self._start(self._tried(lambda: self._refresh("an order broke a filter")))
        await asyncio.wait((self._refreshing,), timeout=FILTERS_KNOWN_WITHIN_S)

    # The account.

    async def _checks(self) -> None:
        while True:
            wait = self._check.due_at - self._actor.clock.monotonic()
            if wait <= 0:
                await self._queued(self._read_account, costs.CHECK)
                continue
            self._check_wanted.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._check_wanted.wait()

    async def _read_account(self) -> None:
        facts = await self._check.read()
        if any(unread.reason is RejectReason.MAINTENANCE for unread in facts.unread):
            self._maintain()

    async def _until_read(self) -> None:
        read = self._standing.funds_as_read
        while self._standing.funds_as_read is read:
            self._actor.tell(messages.gateway(self._account), AskFunds())
            await asyncio.sleep(FUNDS_PAUSE_S)
        self._short = False
        self._standing.close(FUNDS, None)
        self._actor.report(EventType.ACCOUNT_MENDED, {"code": NO_FUNDS})

    # Instruments.

    async def _refresh(self, why: str) -> None:
        """Read the instruments; what changed is told to the owners that it concerns."""
        fresh = dict(await self._client.instruments())
        known = dict(self._instruments)
        gone = {s: replace(old, trading=False) for s, old in known.items() if s not in fresh and old.trading}
        changed = sum(symbol in known and known[symbol] != new for symbol, new in fresh.items())
        self._instruments.update(fresh | gone)
        new = len(fresh.keys() - known.keys())
        figures = {"symbols": len(fresh), "changed": changed, "new": new, "gone": len(gone)}
        self._actor.report(EventType.INSTRUMENTS_REFRESHED, {"why": why, **figures})
        for position in self._owners.all(self._account):
            self.outdated(position)

    # Maintenance.

    def _maintain(self) -> None:
        if not self._maintenance:
            self._maintenance = True
            self._standing.close(MAINTENANCE, "the exchange is in maintenance")
            self._actor.report(EventType.VENUE_MAINTENANCE)
            self._start(self._probe())

    async def _probe(self) -> None:
        """Ask, ever more seldom, until the venue answers a signed question. It passes by any pause: it ends one."""
        pause, longest = PROBE_S
        begun = self._actor.clock.monotonic()
        while self._maintenance:
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
            try:
                await self._client.balance()
            except VenueFailure as failure:
                logger.debug("MAINTENANCE_PROBE account={} error={!r}", self._account, str(failure))
            else:
                self._maintenance = False
        self._standing.close(MAINTENANCE, None)
        away_s = round(self._actor.clock.monotonic() - begun)
        self._actor.report(EventType.VENUE_RESUMED, {"away_s": away_s})
        self._actor.tell(messages.reconciler(self._account), ReconcileNow(reason="the exchange is back"))

    # Turns.

    async def _every(self, period_s: float, work: Callable[[], Awaitable[object]]) -> None:
        while True:
            await asyncio.sleep(period_s)
            await self._queued(work, costs.UPKEEP)

    async def _queued(self, work: Callable[[], Awaitable[object]], cost: Cost) -> None:
        """Do it when a question may be asked, and wait until it is done."""
        done = asyncio.Event()

        async def run() -> None:
            try:
                await self._tried(work)
            finally:
                done.set()

        self._turns.queue(Priority.QUERY, run, cost)
        await done.wait()

    async def _tried(self, work: Callable[[], Awaitable[object]]) -> None:
        """What fails by the venue's fault is done again next time."""
        try:
            await work()
        except VenueFailure as failure:
            logger.warning("UPKEEP_FAILED account={} error={!r}", self._account, str(failure))
            self.failed(failure.reason)
        self.answered()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            logger.opt(exception=error).critical("UPKEEP_ERROR account={} error={!r}", self._account, error)
