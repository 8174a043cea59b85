"""Positions as the core knows them, read back whole from their stored state."""

from __future__ import annotations

from domain.identity import PositionId
from domain.position.state import Position
from persistence.codec import position_from_json
from persistence.pool import ReadPool, Row


class UnreadablePosition(Exception):
    """A stored position that this version cannot read; it must not be passed over, as nobody would own it."""


def load_open(pool: ReadPool, account: str) -> list[Position]:
    """Every position of `account` whose life is not over, oldest first. Raises UnreadablePosition, DatabaseAway."""
    found = pool.rows(
        "SELECT id, state::text AS state FROM monitoring.positions WHERE account = %s AND open ORDER BY id", (account,)
    )
    return [_position(row) for row in found]


def load(pool: ReadPool, position_id: PositionId) -> Position | None:
    """One position, open or over. Raises UnreadablePosition, DatabaseAway."""
    row = pool.row("SELECT id, state::text AS state FROM monitoring.positions WHERE id = %s", (position_id,))
    return None if row is None else _position(row)


def highest_term(pool: ReadPool, account: str) -> int:
    """The highest term that wrote a position of `account`; 0 when there is none. Raises DatabaseAway.

    A term taken from the lock is higher, unless the table of terms was lost: then this is where to go on from.
    """
    row = pool.row("SELECT coalesce(max(term), 0) AS term FROM monitoring.positions WHERE account = %s", (account,))
    return int(row["term"]) if row else 0


def _position(row: Row) -> Position:
    try:
        return position_from_json(row["state"])
    except ValueError as fault:
        raise UnreadablePosition(f"position {row['id']}: {fault}") from fault
