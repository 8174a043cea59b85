"""The keeper of one account's lock: a thread that proves it each second, and at once when somebody must know.

Owned by the warden, which hears of each look and never waits for the database itself. Rules of this file: what the
database said goes into the lease first, then to the warden; a look that fails is followed by another, never by an end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol

from actors.clock import Clock
from actors.lease import Lease
from persistence.database import DatabaseAway
from persistence.lock import AccountLock, Held, LockLost


class Attaching(Protocol):
    """What has to be right with a database before a lock is looked for in it."""

    def attach(self) -> None:
        """Make it right, if it is not. Raises DatabaseAway with the reason why it cannot be."""

    def held(self, account: str) -> None:
        """The account's lock is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockLooked:
    """From a keeper to its warden: the lock was held (`again`: after it had been lost), or why that was not proven."""

    perishable: ClassVar[bool] = True
    account: str
    held: bool
    again: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperBroke:
    """From a keeper to its warden: it ended by an error of ours."""

    perishable: ClassVar[bool] = True
    error: str
    cause: BaseException


class Keeper:
    """One account's, from `start` to `end`."""

    def __init__(
        self,
        lock: AccountLock,
        lease: Lease,
        clock: Clock,
        every_s: float,
        heard: Callable[[object], object],
        ground: Attaching,
    ) -> None:
        """`heard` gets a message for each look, in the keeper's thread."""
        self._lock = lock
        self._lease = lease
        self._clock = clock
        self._every_s = every_s
        self._heard = heard
        self._ground = ground
        self._ended = False
        self._bell = threading.Event()

    def start(self) -> None:
        """Look at once, then again and again."""
        self._lease.ring = self.ring
        threading.Thread(target=self._run, name=f"keeper:{self._lease.account}", daemon=True).start()

    def ring(self) -> None:
        """Somebody must know now. From any thread."""
        self._bell.set()

    def end(self) -> None:
        """Look no more, once the look under way is over."""
        self._ended = True
        self._bell.set()

    def _run(self) -> None:
        try:
            while not self._ended:
                self._look()
                self._bell.wait(self._every_s)
                self._bell = threading.Event()
        except BaseException as error:  # noqa: BLE001 - the thread ends here, and its warden falls with it
            self._heard(KeeperBroke(error=f"{type(error).__name__}: {error}", cause=error))

    def _look(self) -> None:
        began, again = self._clock.now(), bool(self._lease.reason)
        try:
            self._ground.attach()
            if again:
                self._lock.regain()
            else:
                self._lock.beat()
        except LockLost as lost:
            if lost.higher_term is not None:
                self._lease.take_over(str(lost), lost.higher_term)
            self._failed(began, str(lost), rival=False)
            if not again and lost.higher_term is None and not self._ended:
                self.ring()  # only the connection may be gone: what became of the account is known in a moment
        except Held as held:
            self._failed(began, str(held), rival=True)
        except DatabaseAway as away:
            self._failed(began, str(away), rival=False)
        else:
            self._lease.proven(began)
            self._ground.held(self._lease.account)
            self._heard(LockLooked(account=self._lease.account, held=True, again=again))

    def _failed(self, began: datetime, reason: str, *, rival: bool) -> None:
        self._lease.unproven(began, reason, rival=rival)
        self._heard(LockLooked(account=self._lease.account, held=False, reason=reason))
