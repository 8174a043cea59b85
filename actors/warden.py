"""The warden: what stands below the actors is watched too: database, paper exchanges, account locks, the local book.

Each second: a dead server is started again; what changed in the local book is saved; keepers prove the locks. A lock
that cannot be proven makes its account `protection_only` at once; a higher term seen means that another process has
taken over, and this one stops wholly. Nothing here waits for a server or a disk: keepers and errands do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from loguru import logger

from actors import messages
from actors.errands import ErrandDone, Errands
from actors.guard import ActorContext
from actors.keeper import Attaching, Keeper, KeeperBroke, LockLooked
from actors.lease import Lease
from actors.messages import LockIs, Show, Tick
from actors.recording import Recorder
from actors.reporting import ReportingActor
from adapters.paper_launcher import PaperExchangeFailed, PaperLauncher
from domain.catalogue import EventType
from persistence.embedded import AlreadyRunning, EmbeddedFailed, EmbeddedPostgres
from persistence.lock import AccountLock

WATCH_S = 1.0
DATABASE, BOOK, EXCHANGE = "database", "local book", "paper exchange"
_KNOWN_FAILURES = (EmbeddedFailed, AlreadyRunning, PaperExchangeFailed, OSError)


class Book(Protocol):
    """The local book, as far as the warden cares for it."""

    @property
    def due(self) -> bool:
        """Whether it is to be saved now."""

    def save(self) -> None:
        """Save it. Raises OSError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the warden is given; a lock and its lease by account."""

    database: EmbeddedPostgres | None
    exchanges: Mapping[str, PaperLauncher]
    locks: Mapping[str, tuple[AccountLock, Lease]]
    ground: Attaching
    book: Book
    recorder: Recorder


class Warden(ReportingActor):
    """Looks once a second."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder)
        self._wiring = wiring
        self._errands = Errands(self.remind)
        self._keepers: list[Keeper] = []
        leases = {account: lease for account, (_, lease) in wiring.locks.items()}
        self._lost = {account: lease.reason for account, lease in leases.items() if lease.reason}
        self._failing: dict[str, str] = {}
        # An earlier incarnation may have said that a lock is lost: the first proof takes that back.
        self._doubted = set(wiring.locks) if context.incarnation > 1 else set()

    def started(self) -> None:
        """Begin to look."""
        for lock, lease in self._wiring.locks.values():
            keeper = Keeper(lock, lease, self.clock, WATCH_S, self.remind, self._wiring.ground)
            self._keepers.append(keeper)
            keeper.start()
        self.remind_after(WATCH_S, Tick())

    def receive(self, message: Any) -> object:
        """The time, what keepers and errands say, or a question."""
        match message:
            case Tick():
                self._watch()
                self.remind_after(WATCH_S, Tick())
            case LockLooked():
                self._looked(message)
            case KeeperBroke():
                raise RuntimeError(message.error) from message.cause
            case ErrandDone():
                self._errands.over(message)
                self._done(message)
            case Show():
                return {"locks_lost": dict(self._lost), "failing": dict(self._failing)}
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    def stopping(self) -> None:
        """Look no more."""
        self.perished()

    def perished(self) -> None:
        """A dead warden's keepers tell nobody anything; its successor has keepers of its own."""
        for keeper in self._keepers:
            keeper.end()

    def _watch(self) -> None:
        if self._wiring.database is not None:
            self._errands.run(DATABASE, self._wiring.database.ensure)
        for account, launcher in self._wiring.exchanges.items():
            self._errands.run(f"{EXCHANGE} {account}", launcher.ensure)
        if self._wiring.book.due:
            self._errands.run(BOOK, self._wiring.book.save)

    def _done(self, done: ErrandDone) -> None:
        if done.error is not None and not isinstance(done.error, _KNOWN_FAILURES):
            raise RuntimeError(f"{done.name}: {done.error!r}") from done.error
        if done.error is not None:
            self._fails(done.name, f"{type(done.error).__name__}: {done.error}")
            return
        self._failing.pop(done.name, None)
        if not done.answer:
            return
        if done.name == DATABASE and self._wiring.database is not None:
            logger.warning("DATABASE_RESTARTED pid={}", self._wiring.database.pid)
        elif done.name.startswith(EXCHANGE):
            account = done.name.removeprefix(f"{EXCHANGE} ")
            self.report(EventType.EXCHANGE_RESTARTED, {"exchange": "paper"}, account=account)

    def _fails(self, what: str, why: str) -> None:
        if self._failing.get(what) != why:
            self._failing[what] = why
            logger.critical("WATCHED_FAILED what={!r} error={!r}", what, why)

    def _looked(self, looked: LockLooked) -> None:
        account = looked.account
        if not looked.held:
            known = account in self._lost
            self._lost[account] = looked.reason
            # Each time: who was started meanwhile has not heard it.
            self._tell(account, held=False, reason=f"protection_only: {looked.reason}")
            if not known:
                self.report(EventType.LOCK_LOST, {"error": looked.reason}, account=account, error=looked.reason)
            return
        if self._lost.pop(account, None) is not None or account in self._doubted:
            self._tell(account, held=True)
        if looked.again:
            term = self._wiring.locks[account][0].term
            self.report(EventType.LOCK_TAKEN, {"term": term, "again": True}, account=account)

    def _tell(self, account: str, *, held: bool, reason: str = "") -> None:
        self._doubted.discard(account)
        for name in (messages.ENTRY_DESK, messages.gateway(account)):
            self.tell(name, LockIs(account=account, held=held, reason=reason))
