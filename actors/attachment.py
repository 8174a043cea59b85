"""Whether the database may be written: at once where the service started with it, else when all about it is right.

A service that started without its database meets it again as a stranger would: the schema is brought up to date, it has
to be the same database, and each account's lock has to be held under our term. Only then the spool is replayed and the
book read from it; before that readers and the journal are told that it is away, with the reason.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from loguru import logger

from actors.clock import Clock
from persistence.database import DatabaseAway, MigrationRefused, instance_code, migrate
from persistence.partitions import ensure_partitions


class Attachment:
    """One service's; used by the keepers' threads, asked by everybody."""

    def __init__(self, conninfo: str, clock: Clock, *, instance: str, awaited: Iterable[str] = ()) -> None:
        """`awaited`: the accounts whose locks are to be held first; none where the service began with the database."""
        self._conninfo = conninfo
        self._clock = clock
        self._instance = instance
        self._awaited = frozenset(awaited)
        self._right = not self._awaited
        self._mutex = threading.Lock()

    @property
    def closed_because(self) -> str | None:
        """Why the database must neither be written nor read yet; None: it may."""
        awaited = self._awaited
        return f"started without it, not held yet: {', '.join(sorted(awaited))}" if awaited else None

    def attach(self) -> None:
        """Make the database right for us, once. Raises DatabaseAway with the reason why it is not."""
        with self._mutex:
            if self._right:
                return
            try:
                migrate(self._conninfo)
                ensure_partitions(self._conninfo, self._clock.now())
                instance = instance_code(self._conninfo, self._instance)
            except MigrationRefused as refused:
                raise DatabaseAway(str(refused)) from refused
            if instance != self._instance:
                raise DatabaseAway(f"it is another database: its orders are hf{instance}-…, ours hf{self._instance}-…")
            self._right = True

    def held(self, account: str) -> None:
        """An account's lock is held under our term."""
        if account not in self._awaited:
            return
        with self._mutex:
            self._awaited -= {account}
            if not self._awaited:
                logger.warning("DATABASE_ATTACHED the service started without it and goes on with it")
