"""How what losses are counted from outlives a process: in the local book at once, and as a fact in the database.

A beginning of the day that is forgotten hides the loss since then. The local book has it before anything else is done
about it, so that a kill a moment later takes nothing along; the newer word of the two counts, as another machine may
have gone on meanwhile. Rule of this file: what cannot be remembered here is shouted about, and counted all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from loguru import logger

from actors.switch_memory import Book as LocalBook
from domain.judgement.losses import Watch, from_row, to_row

LOSS_FACT = "loss_watch"
_NEVER = datetime.min.replace(tzinfo=UTC)


class Written(Protocol):
    """The database, as far as facts go."""

    def fact(self, key: str) -> Any:
        """What was written. Raises DatabaseAway."""


def as_fact(watches: Mapping[str, Watch], now: datetime) -> dict[str, object]:
    """All accounts' watches, and when they stood so."""
    return {"kept_at": now.isoformat(), "accounts": {name: to_row(watch) for name, watch in watches.items()}}


def recall(accounts: Iterable[str], written: Written, book: LocalBook) -> dict[str, Watch]:
    """Each account's watch, by the newer of what is written and what this machine kept. Raises DatabaseAway."""
    facts = [_read(written.fact(LOSS_FACT)), _read(book.fact(LOSS_FACT))]
    _, rows = max(facts, key=lambda fact: fact[0])
    return {name: watch for name in accounts if (watch := _watch(name, rows.get(name))) is not None}


def keep(book: LocalBook, fact: Mapping[str, object]) -> None:
    """Durable on this machine when this returns, or shouted about."""
    try:
        book.keep(LOSS_FACT, fact)
    except OSError as error:
        logger.critical("LOSSES_UNREMEMBERED error={!r}: counted in this process", str(error))


def _read(fact: object) -> tuple[datetime, Mapping[str, Any]]:
    """When it was kept, and the rows by account; a fact of an older program names the accounts alone."""
    if not isinstance(fact, Mapping):
        return _NEVER, {}
    at, rows = fact.get("kept_at"), fact.get("accounts")
    if not isinstance(at, str) or not isinstance(rows, Mapping):
        return _NEVER, fact
    try:
        return datetime.fromisoformat(at), rows
    except ValueError as fault:
        logger.error("LOSSES_UNREADABLE kept_at={!r} error={!r}: counted from here", at, fault)
        return _NEVER, {}


def _watch(account: str, row: object) -> Watch | None:
    if not isinstance(row, Mapping):
        return None
    try:
        return from_row(row)
    except (KeyError, ValueError, TypeError, ArithmeticError, AttributeError) as fault:
        logger.error("LOSSES_UNREADABLE account={} error={!r}: counted from here", account, fault)
        return None
