"""Two stored owners of one place: the newer one owns it, and what becomes of the older one is settled once.

Nobody can claim a place before the life of its owner is over, so the older life had ended, and its last record was lost
(a disk that broke, a record that the database refused). It is closed in the book as handed back: nobody here knows how
it ended, so it is in no profit and no loss. An order of it that should rest yet is a zombie, and hunted as such.

Not where the two are of different sides: an account that was in hedge mode, and is set otherwise now, looks like that,
and there both may be open. A human is called at every start.
"""

from __future__ import annotations

from loguru import logger

from actors import messages
from actors.directory import Directory
from actors.foundation import Ground
from actors.messages import Write
from actors.owners import Owners
from actors.recording import Recorder, log, position_event
from domain.catalogue import EventType
from domain.identity import Epoch
from domain.position import ledger
from domain.position.state import ZERO, CloseReason, Phase, Position
from domain.position.turn import happening


class Superseded:
    """What one start finds; written once there is a journal."""

    def __init__(self, ground: Ground, owners: Owners, recorder: Recorder) -> None:
        """Nothing is found yet."""
        self._ground = ground
        self._owners = owners
        self._recorder = recorder
        self._found: list[tuple[Position, Position]] = []

    def found(self, older: Position, epoch: Epoch) -> None:
        """Its place has a newer owner. `epoch`: of this life, so that the row takes it."""
        owner = self._owners.owner(self._owners.place_of(older))
        newer = None if owner is None else self._owners.state(owner)
        by_memory = self._ground.remembered is not None  # which may know less than the database does
        if by_memory or newer is None or newer.side is not older.side:
            logger.critical("TWO_OWNERS account={} symbol={} position={}", older.account, older.symbol, older.id)
            return
        over = older.changed(
            epoch=epoch,
            version=older.version + 1,
            phase=Phase.RELEASED,
            close_reason=CloseReason.SUPERSEDED,
            closed_at=max(newer.opened_at, older.opened_at),
            unprotected_since=None,
            needs_intervention=False,
        )
        self._found.append((over, newer))

    def write(self, directory: Directory) -> None:
        """Close them in the book, each with its event in the same record."""
        now = self._ground.clock.now()
        for over, newer in self._found:
            data = {
                "side": over.side.value,
                "quantity": max(ledger.book(over), ZERO),
                "owner": newer.id,
                "reason": "a newer position owns its place: its life was over, and its last record was lost",
            }
            event = position_event(happening(EventType.POSITION_SUPERSEDED, data), over, now)
            log([event])
            record = self._recorder.record(now, events=[event], position=over)
            directory.tell(messages.JOURNAL, Write(record=record))
        self._found.clear()
