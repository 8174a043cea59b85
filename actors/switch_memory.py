"""How the kill switch outlives a process: a fact in the database (by the journal, or its spool) and in the local book.

The local book has it first, before any position is closed, so that it is in force again after a kill at any moment and
in a start without the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from loguru import logger

from actors.foundation import Ground
from actors.standing import Standing
from domain.judgement.kill_switch import Switch, from_row, newest, to_row
from domain.records import Record

SWITCH_FACT = "kill_switch"


class Book(Protocol):
    """The local book, as far as facts go."""

    def keep(self, key: str, value: object) -> None:
        """Durable on return. Raises OSError."""

    def fact(self, key: str) -> Any:
        """What was kept."""


def recall_all(ground: Ground) -> dict[str, int]:
    """What a start knows of it: see `recall`. Raises DatabaseAway."""
    written = [ground.reader.fact(SWITCH_FACT)] if ground.remembered is None else spooled(ground.spool.pending())
    return recall(ground.standings, written, ground.book.fact(SWITCH_FACT))


def recall(standings: Mapping[str, Standing], written: Iterable[object], kept: object) -> dict[str, int]:
    """Put in force what was in force: each account's newest, of what was `written` and what the local book `kept`.

    Returns which change of each account is written: a process that is killed may take the last one's event along.
    """
    numbers: dict[str, int] = {}
    facts = list(written)
    for account, standing in standings.items():
        known = newest(*_read(account, facts))
        numbers[account] = known.number
        standing.kill_switch = newest(known, *_read(account, [kept]))
        if standing.kill_switch.in_force:
            logger.warning("KILL_SWITCH_IN_FORCE account={} reason={!r}", account, standing.kill_switch.reason)
    return numbers


def spooled(records: Iterable[Record]) -> list[object]:
    """What waits in the spool of it, oldest first."""
    return [record.facts[SWITCH_FACT] for record in records if record.facts and SWITCH_FACT in record.facts]


def as_fact(standings: Mapping[str, Standing]) -> dict[str, object]:
    """All accounts' switches, as the fact holds them."""
    return {account: to_row(standing.kill_switch) for account, standing in standings.items()}


def _read(account: str, facts: Iterable[object]) -> Iterator[Switch]:
    for fact in facts:
        if not isinstance(fact, Mapping) or account not in fact:
            continue
        try:
            yield from_row(fact[account])
        except (KeyError, ValueError, TypeError, AttributeError) as fault:
            logger.critical("KILL_SWITCH_UNREADABLE account={} row={!r} error={!r}", account, fact[account], fault)
