"""The warden: what stands below the actors is watched too: embedded database, paper exchanges, the account locks.

Each second: a dead server is started again; each lock is proven. A lock that cannot be proven makes its account
`protection_only` at once; a higher term seen means that another process has taken over, and this one stops wholly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loguru import logger

from actors import messages
from actors.guard import ActorContext
from actors.messages import LockIs, Show, Tick
from actors.recording import Recorder
from actors.reporting import ReportingActor
from adapters.paper_launcher import PaperExchangeFailed, PaperLauncher
from domain.catalogue import EventType
from persistence.database import DatabaseAway
from persistence.embedded import EmbeddedFailed, EmbeddedPostgres
from persistence.lock import AccountLock, Held, LockLost

WATCH_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the warden is given. `superseded` ends the process: another one has the account."""

    database: EmbeddedPostgres | None
    exchanges: Mapping[str, PaperLauncher]
    locks: Mapping[str, AccountLock]
    superseded: Callable[[str], None]
    recorder: Recorder


class Warden(ReportingActor):
    """Looks once a second."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder)
        self._wiring = wiring
        self._lost: dict[str, str] = {}
        self._failing: dict[str, str] = {}
        # An earlier incarnation may have said that a lock is lost: the first proof takes that back.
        self._doubted = set(wiring.locks) if context.incarnation > 1 else set()

    def started(self) -> None:
        """Begin to look."""
        self.remind_after(WATCH_S, Tick())

    def receive(self, message: Any) -> object:
        """The time, or a question."""
        match message:
            case Tick():
                self._database()
                for account, launcher in self._wiring.exchanges.items():
                    self._exchange(account, launcher)
                for account, lock in self._wiring.locks.items():
                    self._lock(account, lock)
                self.remind_after(WATCH_S, Tick())
            case Show():
                return {"locks_lost": dict(self._lost), "failing": dict(self._failing)}
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    def _database(self) -> None:
        database = self._wiring.database
        if database is None:
            return
        try:
            if database.ensure():
                logger.warning("DATABASE_RESTARTED pid={}", database.pid)
            self._failing.pop("database", None)
        except EmbeddedFailed as failure:
            self._fails("database", str(failure))

    def _exchange(self, account: str, launcher: PaperLauncher) -> None:
        try:
            if launcher.ensure():
                self.report(EventType.EXCHANGE_RESTARTED, {"exchange": "paper"}, account=account)
            self._failing.pop(f"paper exchange {account}", None)
        except PaperExchangeFailed as failure:
            self._fails(f"paper exchange {account}", str(failure))

    def _fails(self, what: str, why: str) -> None:
        if self._failing.get(what) != why:
            self._failing[what] = why
            logger.critical("WATCHED_FAILED what={!r} error={!r}", what, why)

    def _lock(self, account: str, lock: AccountLock) -> None:
        try:
            if account in self._lost:
                lock.regain()
                del self._lost[account]
                self._tell(account, held=True)
                self.report(EventType.LOCK_TAKEN, {"term": lock.term, "again": True}, account=account)
            else:
                lock.beat()
                if account in self._doubted:
                    self._tell(account, held=True)
        except (LockLost, Held, DatabaseAway) as lost:
            higher = lost.higher_term if isinstance(lost, LockLost) else None
            known = account in self._lost
            self._lost[account] = str(lost)
            # Each time: who was started meanwhile has not heard it.
            self._tell(account, held=False, reason=f"protection_only: {lost}")
            if not known:
                self.report(EventType.LOCK_LOST, {"error": str(lost)}, account=account, error=str(lost))
            if higher is not None:
                self._wiring.superseded(f"{account}: {lost}")

    def _tell(self, account: str, *, held: bool, reason: str = "") -> None:
        self._doubted.discard(account)
        for name in (messages.ENTRY_DESK, messages.gateway(account)):
            self.tell(name, LockIs(account=account, held=held, reason=reason))
