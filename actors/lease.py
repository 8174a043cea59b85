"""What a process knows of its right to an account: when the lock was proven last, and who has taken the account over.

One for an account, shared by threads: the keeper writes what the database said, whoever reads the exchange tells of the
client ids there, the gateway asks before each request. Each value has one writer or only ever goes one way, and is
replaced whole, so a reader needs no lock; the normal path reads one attribute and the clock.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from actors.clock import Clock
from domain.identity import parse_client_id
from domain.lease import LEASE_S, Deed, withheld

LEASE = timedelta(seconds=LEASE_S)
# Protection waits no longer than this for the keeper's word, what else there is as long as an attempt may take.
URGENT_WITHIN_S = 0.5
WORD_WITHIN_S = 3.0


class Lease:
    """One account's. `superseded` is called once, with the reason, when a higher term is seen anywhere."""

    def __init__(
        self,
        account: str,
        clock: Clock,
        *,
        instance: str,
        term: int,
        standby: bool,
        superseded: Callable[[str, int], object],
    ) -> None:
        """`term`: ours. Nothing is proven yet, and nobody has looked."""
        self.account = account
        self.instance = instance
        self.term = term
        self.ring: Callable[[], object] = _nobody
        """Asks the keeper to look at once; set by the keeper of now."""
        self._clock = clock
        self._standby = standby
        self._superseded = superseded
        self._gone: str | None = None
        self._rival = False
        self._reason = "the lock has not been proven yet"
        self._proven_at: datetime | None = None
        self._looked_at: datetime | None = None
        self._waiting: list[Callable[[], object]] = []
        self._mutex = threading.Lock()

    @property
    def gone(self) -> str | None:
        """Who has taken the account over, in words. Nothing is sent any more then."""
        return self._gone

    @property
    def fresh(self) -> bool:
        """Whether the lock was proven within the lease."""
        at = self._proven_at
        return at is not None and self._gone is None and self._clock.now() - at <= LEASE

    @property
    def ever_proven(self) -> bool:
        """Whether this process has proven the lock at all."""
        return self._proven_at is not None

    @property
    def reason(self) -> str:
        """Why the lock could not be proven when that was last tried; empty: it was."""
        return self._reason

    # What the keeper says.

    def proven(self, at: datetime) -> None:
        """The database said that the account is ours; it was asked at `at`."""
        self._reason, self._rival, self._looked_at = "", False, at
        self._proven_at = at
        self._wake()

    def unproven(self, at: datetime, reason: str, *, rival: bool) -> None:
        """It was asked at `at` and proved nothing. `rival`: somebody else holds the lock."""
        self._reason, self._rival, self._looked_at = reason, rival, at
        self._wake()

    # A higher term.

    def take_over(self, reason: str, term: int) -> None:
        """Another process has the account: nothing leaves from now on, and this process ends. From any thread."""
        with self._mutex:
            first, self._gone = self._gone is None, self._gone or reason
        self._wake()
        if first:
            self._superseded(reason, term)

    def saw(self, client_id: str | None, where: str) -> None:
        """A client id was seen at the exchange. One of ours under a higher term means a successor (DESIGN 3)."""
        if client_id is None or not client_id.startswith("hf"):
            return
        ours = parse_client_id(client_id)
        if ours is not None and ours.instance == self.instance and ours.epoch.term > self.term:
            text = f"term {ours.epoch.term} stands in order {client_id} ({where}), ours is {self.term}"
            self.take_over(text, ours.epoch.term)

    # What the gateway asks.

    def withheld(self, deed: Deed) -> str | None:
        """Why a request must not leave now, by what is known; None: it may."""
        if self._gone is not None:
            return self._gone
        at = self._proven_at
        passed_s = None if at is None else (self._clock.now() - at).total_seconds()
        return withheld(deed, passed_s, rival=self._standby or self._rival)

    async def renewed(self, deed: Deed) -> str | None:
        """The same, after the keeper has looked anew if its last look is older than the lease.

        So whoever was paused, and wakes up with requests in hand, first learns what became of the account. Protection
        does not wait long for that word; what else there is stays here when it does not come.
        """
        if self.fresh:
            return None
        urgent = deed in (Deed.COVER, Deed.EXIT)
        heard = await self._word(URGENT_WITHIN_S if urgent else WORD_WITHIN_S)
        if not heard and not urgent:
            return "the account's lock could not be asked for"
        return self.withheld(deed)

    async def _word(self, within_s: float) -> bool:
        """Wait until the keeper has looked recently enough; False if that took longer."""
        wanted = self._clock.now() - LEASE
        loop, heard = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the gateway was closed meanwhile
                loop.call_soon_threadsafe(heard.set)

        try:
            async with asyncio.timeout(within_s):
                while not self._known_since(wanted):
                    heard.clear()
                    with self._mutex:
                        self._waiting.append(wake)
                    self.ring()
                    if self._known_since(wanted):
                        break
                    await heard.wait()
        except TimeoutError:
            return self._known_since(wanted)
        return True

    def _known_since(self, wanted: datetime) -> bool:
        at = self._looked_at
        return self._gone is not None or (at is not None and at >= wanted)

    def _wake(self) -> None:
        with self._mutex:
            waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()


def _nobody() -> None:
    """No keeper runs at the moment; the next one looks at once."""
