"""What the actor tree stands on: settings, clock, database, exchanges, and the accounts with what is shared about each.

Frozen data only: made by the service before the tree, closed by it after the tree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from actors.attachment import Attachment
from actors.clock import SystemClock
from actors.lease import Lease
from actors.standing import Standing
from adapters.exchange.access import AccountAccess
from adapters.paper_launcher import PaperLauncher
from config.settings import Settings
from domain.instrument import Instrument
from domain.position.state import Position
from persistence.embedded import EmbeddedPostgres
from persistence.local_book import LocalBook
from persistence.lock import AccountLock
from persistence.reader import Reader
from persistence.spool import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account as the tree needs it: how to reach it, under which term, and what is shared about it.

    `doubtful`: taken over from a holder that was silent, but not known to be dead. Cut off from the database he may
    have moved stops, by his own disk, that the book does not tell of.
    """

    name: str
    access: AccountAccess
    lock: AccountLock
    lease: Lease
    first_incarnation: int = 0
    doubtful: bool = False
    instruments: dict[str, Instrument] = field(default_factory=dict)
    standing: Standing = field(default_factory=Standing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the tree stands on: made by main before it, and closed by main after it.

    `remembered`: the open positions as this machine knows them, where the database could not be had at the start.
    """

    settings: Settings
    version: str
    started_at: datetime
    clock: SystemClock
    conninfo: str
    instance: str
    database: EmbeddedPostgres | None
    exchanges: dict[str, PaperLauncher]
    accounts: tuple[Account, ...]
    reader: Reader
    spool: Spool
    book: LocalBook
    attachment: Attachment
    remembered: tuple[Position, ...] | None
    request_stop: Callable[[str, int], None]
    load_settings: Callable[[], Settings]

    @property
    def standings(self) -> dict[str, Standing]:
        """How each account stands, by its name."""
        return {account.name: account.standing for account in self.accounts}
