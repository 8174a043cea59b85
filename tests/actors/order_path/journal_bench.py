"""A journal on a real database, with ears for everybody it tells something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from actors import messages
from actors.journal import Journal, JournalState, Wiring
from actors.messages import Show, Write
from actors.ticket import Ticket
from domain.records import Record
from persistence.spool import Spool
from tests.actors.order_path.stage import Stage, until
from tests.persistence.conftest import Query
from tests.persistence.samples import event, record, trade

LIMIT_S = 10.0


class Bench:
    """A journal with ears for everybody it tells something."""

    def __init__(
        self, stage: Stage, conninfo: str, directory: Path, lock_timeout_ms: int = 500, **options: Any
    ) -> None:
        self.stage = stage
        self.directory = directory
        self.spool = Spool(directory / "spool")
        self.desk = stage.ear(messages.ENTRY_DESK)
        self.gateway = stage.ear(messages.gateway("main"))
        self.notifier = stage.ear(messages.NOTIFIER)
        self._wiring = Wiring(
            conninfo=make_conninfo(conninfo, options=f"-c lock_timeout={lock_timeout_ms}"),
            spool=self.spool,
            refused_dir=directory / "refused",
            recorder=stage.recorder,
            gateways=(messages.gateway("main"),),
            away_because=lambda: None,
            durable=lambda position: None,
        )
        options = {"hang_after_s": 30, **options}
        stage.add(messages.JOURNAL, lambda context: Journal.start(context, self._wiring), **options)

    def write(self, told: Record, then: tuple[str, object] | None = None) -> Ticket:
        ticket = Ticket(told)
        self.stage.tell(messages.JOURNAL, Write(record=told, ticket=ticket, then=then))
        return ticket

    def state(self) -> JournalState:
        shown = self.stage.ask(messages.JOURNAL, Show())
        assert isinstance(shown, JournalState)
        return shown

    def stop(self) -> None:
        self.stage.stop()
        self.spool.close()


def numbered(number: int) -> Record:
    """A record whose event says its number."""
    return record(f"n-{number:05}", events=(event(data={"number": number}),))


def poison(name: str = "bad", **parts: Any) -> Record:
    """A record that no database takes: its execution belongs to a position that there is not."""
    return record(name, trades=(trade(f"t-{name}", number=999),), **parts)


def settled(ticket: Ticket) -> bool:
    return bool(until(lambda: ticket.settled, what="a ticket to be settled"))


def numbers(rows: Query) -> list[object]:
    """The numbers of our events, in the order of the journal."""
    found = rows("SELECT event_data->'number' AS n FROM monitoring.events WHERE event_data ? 'number' ORDER BY id")
    return [row["n"] for row in found]


class Locked:
    """Holds a lock that every write needs, so that the journal waits in the middle of one."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._conn = psycopg.connect(database)
        self._conn.execute("LOCK TABLE monitoring.transaction_log IN ACCESS EXCLUSIVE MODE")

    def in_hand(self) -> None:
        """Wait until the journal stands in the middle of a write: its mailbox is empty an instant earlier."""
        with psycopg.connect(self._database, autocommit=True) as conn:
            query = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'monitoring.transaction_log'::regclass"
            until(lambda: conn.execute(query).fetchone(), what="a write that waits for the lock")

    def release(self) -> None:
        self._conn.close()
