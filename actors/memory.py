"""Whether this machine may protect without the database, and from which states: the local book and the spool together.

DESIGN 3: protection_only, and only if the local term file names this machine as the last holder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from loguru import logger

from domain.identity import PositionId
from domain.position.state import Position
from persistence.database import DatabaseAway
from persistence.local_book import DamagedBook, LocalBook, Memory, Tenure
from persistence.lock import AccountLock
from persistence.spool import Spool
from persistence.writer import Writer

# A life without the database cannot take a term: its actors count on from here, above any that an earlier life reached.
INCARNATIONS_A_LIFE = 36**3
SPOOL_GROUP = 200


class NothingRemembered(Exception):
    """The database cannot be had, and this machine must not act without it; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What to go on from. `first_incarnation`: all actors' of this life are higher."""

    memory: Memory
    first_incarnation: int


def remembered(
    book: LocalBook, spool: Spool, tenures: Mapping[str, Tenure], host: str, *, why: str, standby: bool
) -> Remembered | None:
    """What this machine knows of its accounts (`tenures`, by name); None: it has to wait for the database.

    `why`: what is wrong with the database. With `standby` another machine has the accounts, or will have.

    Raises:
        NothingRemembered: it must not act, and nobody stands by to wait.
        OSError: the file or the spool cannot be read.
    """
    try:
        memory = book.read()
        reason = "there is no local book" if memory is None else _refusal(memory, tenures, host, standby=standby)
    except DamagedBook as damaged:
        memory, reason = None, str(damaged)
    if memory is not None and reason is None:
        lives = memory.lives + 1
        positions = _newest(memory.positions, spool)
        return Remembered(
            memory=replace(memory, lives=lives, positions=positions), first_incarnation=lives * INCARNATIONS_A_LIFE
        )
    if standby:
        logger.warning("STANDING_BY the database cannot be had and {}", reason)
        return None
    raise NothingRemembered(
        f"the database cannot be had ({why}), and without it this machine must not act on the accounts: {reason}"
    )


def _refusal(memory: Memory, tenures: Mapping[str, Tenure], host: str, *, standby: bool) -> str | None:
    if memory.host != host:
        return f"the last holder that it knows is host {memory.host}, this is {host}"
    for name, wanted in tenures.items():
        known = memory.tenures.get(name)
        if known is None or (known.exchange, known.fingerprint) != (wanted.exchange, wanted.fingerprint):
            return f"account {name} with this key was never held here"
        if known.seen > known.term:
            return f"another process was seen to have account {name} (term {known.seen}, ours was {known.term})"
        if known.released and standby:
            return f"account {name} was given back in order, a stand-by may have it"
    return None


def _newest(positions: tuple[Position, ...], spool: Spool) -> tuple[Position, ...]:
    """Each position as it was last known, by the book or by what waits in the spool; without those that are over."""
    newest: dict[PositionId, Position] = {p.id: p for p in positions}
    for record in spool.pending():
        p = record.position
        if p is None:
            continue
        held = newest.get(p.id)
        if held is None or (p.epoch, p.version) > (held.epoch, held.version):
            newest[p.id] = p
    return tuple(p for _, p in sorted(newest.items()) if not p.phase.final)


def replay(spool: Spool, conninfo: str) -> None:
    """What an earlier life could only spool belongs to the book: it is written before the book is read.

    A record that the database refuses stays in the spool for the journal, which puts it aside and says so.
    Raises DatabaseAway.
    """
    writer, batch = Writer(conninfo), list(spool.pending())
    while batch:
        group, batch = batch[:SPOOL_GROUP], batch[SPOOL_GROUP:]
        refused = {each.record.record_id for each in writer.write(group)}
        spool.drop([record.record_id for record in group if record.record_id not in refused])
    writer.close()


def last_memory(book: LocalBook) -> Memory | None:
    """What the last life left; a file that cannot be believed is as good as none while there is a database."""
    try:
        return book.read()
    except (DamagedBook, OSError) as error:
        logger.warning("LOCAL_BOOK_UNREAD error={!r}", str(error))
        return None


def tenures_of(locks: Mapping[str, AccountLock]) -> dict[str, Tenure]:
    """What is to be remembered of each account: what was locked, under which term."""
    return {
        name: Tenure(exchange=lock.order[0], fingerprint=lock.order[1], term=lock.term) for name, lock in locks.items()
    }


def give_back(account: str, lock: AccountLock, book: LocalBook) -> None:
    """Give an account back, so that a successor need not wait; without a database it will have to."""
    try:
        lock.release()
    except DatabaseAway as away:
        logger.warning("LOCK_UNRELEASED account={} error={!r}", account, str(away))
        return
    book.release(account)
    try:
        book.save()
    except OSError as error:
        logger.warning("LOCAL_BOOK_UNWRITTEN error={!r}", str(error))
