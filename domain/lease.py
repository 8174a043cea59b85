"""Who may send what, by when the account's lock was last proven: the table of DESIGN 3 'Who may send, and when'. Pure.

Rules of this file: a proof is dated by when the question was asked, never by when it was answered. A successor counts
from the last beat that the database shows, which is later: so our lease is over before his wait is.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from domain.identity import OrderKind
from domain.orders import OrderIntent
from domain.position import cover, ledger
from domain.position.state import CloseReason, Position, Purpose

LEASE_S = 5.0
RECEIVE_WINDOW_S = 2.0


class Deed(StrEnum):
    """What a request does to an account, as far as the lock decides about it."""

    ENTRY = "entry"
    COVER = "cover"
    """The first stop, one that covers more, the emergency stop: nothing else protects meanwhile."""
    EXIT = "exit"
    """An emergency exit, an operator's or a signal's close, and tidying up behind a position that is flat."""
    UPKEEP = "upkeep"
    """Stop moves, guard, take-profits: without them the resting stop stays as it is."""


def deed_of(intent: OrderIntent, position: Position | None) -> Deed:
    """What an order of `position` does (None: its owner is not known any more)."""
    if intent.kind is OrderKind.ENTRY:
        return Deed.ENTRY
    if intent.kind is OrderKind.EXIT:
        order = next((e for e in position.exits if e.client_id == intent.client_id), None) if position else None
        return Deed.UPKEEP if order is not None and order.reason is CloseReason.TAKE_PROFIT else Deed.EXIT
    if intent.kind is OrderKind.TAKE_PROFIT or position is None:
        return Deed.UPKEEP
    stop = next((s for s in position.stops if s.client_id == intent.client_id), None)
    first = stop is not None and stop.purpose in (Purpose.FIRST, Purpose.EMERGENCY)
    return Deed.COVER if first or cover.cover(position) < ledger.exposure(position) else Deed.UPKEEP


def deed_of_cancel(position: Position | None) -> Deed:
    """What a cancel does: behind a flat position it tidies up, else it is part of a move."""
    return Deed.EXIT if position is None or ledger.flat(position) else Deed.UPKEEP


def withheld(deed: Deed, unproven_s: float | None, *, rival: bool) -> str | None:
    """Why a request must not leave though no higher term is known; None: it may.

    `unproven_s`: how long ago the lock was proven last; None: never. `rival`: another process may take the account
    over, since a stand-by stands in the settings or somebody else was seen to hold the lock.
    """
    if (unproven_s is not None and unproven_s <= LEASE_S) or deed in (Deed.COVER, Deed.EXIT):
        return None
    since = "never proven" if unproven_s is None else f"last proven {unproven_s:.1f} s ago"
    if deed is Deed.ENTRY:
        return f"protection_only: the account's lock was {since}"
    return f"another process may have the account: its lock was {since}" if rival else None


def successor_waits(silent: timedelta, *, released: bool, surely_dead: bool) -> timedelta:
    """How long a successor sends nothing yet, `silent` after the last beat of the holder before it.

    `surely_dead`: something else proves that the holder's process is gone: only what it put on the wire may still come.
    """
    if released:
        return timedelta(0)
    lease = timedelta(0) if surely_dead else timedelta(seconds=LEASE_S)
    return max(timedelta(seconds=RECEIVE_WINDOW_S) + lease - silent, timedelta(0))
