"""How the kill switch outlives a process: a fact in the database (by the journal, or its spool) and in the local book.

The local book has it first, before any position is closed, so that it is in force again after a kill at any moment and
in a start without the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from loguru import logger

from actors.standing import Standing
from domain.judgement.kill_switch import OFF, Switch, from_row, newest, to_row
from domain.records import Record

SWITCH_FACT = "kill_switch"


class Book(Protocol):
    """The local book, as far as facts go."""

    def keep(self, key: str, value: object) -> None:
        """Durable on return. Raises OSError."""

    def fact(self, key: str) -> Any:
        """What was kept."""


def recall(standings: Mapping[str, Standing], remembered: Iterable[object]) -> None:
    """Put in force what was in force: of all memories each account's newest."""
    facts = [fact for fact in remembered if isinstance(fact, Mapping)]
    for account, standing in standings.items():
        found = newest(*(_read(account, fact[account]) for fact in facts if account in fact))
        standing.kill_switch = found
        if found.in_force:
            logger.warning("KILL_SWITCH_IN_FORCE account={} reason={!r}", account, found.reason)


def spooled(records: Iterable[Record]) -> list[object]:
    """What waits in the spool of it, oldest first."""
    return [record.facts[SWITCH_FACT] for record in records if record.facts and SWITCH_FACT in record.facts]


def as_fact(standings: Mapping[str, Standing]) -> dict[str, object]:
    """All accounts' switches, as the fact holds them."""
    return {account: to_row(standing.kill_switch) for account, standing in standings.items()}


def _read(account: str, row: Any) -> Switch:
    try:
        return from_row(row)
    except (KeyError, ValueError, TypeError, AttributeError) as fault:
        logger.critical("KILL_SWITCH_UNREADABLE account={} row={!r} error={!r}", account, row, fault)
        return OFF
