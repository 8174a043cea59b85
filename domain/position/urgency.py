"""Which orders wait when an account's writes are short, and who of those goes first (LAWS S15, L3).

Rules of this file: only what betters a position that is covered whole ever waits, and only if that is known. The
nearest stop goes first: it will be touched first, and its move saves most.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from domain.identity import OrderKind
from domain.orders import OrderIntent
from domain.position import cover, ledger, trailing
from domain.position.state import Position, Purpose

FARTHEST = Decimal("Infinity")
_MOVES = (Purpose.TRAIL, Purpose.BREAKEVEN)


class Standing(StrEnum):
    """What has become of an order that waits."""

    PROTECTS = "protects"
    WAITS = "waits"
    POINTLESS = "pointless"


def standing(intent: OrderIntent, position: Position | None) -> Standing:
    """Whether an order may wait, by the newest state of its position (None: its owner is not known)."""
    if position is None or intent.kind is not OrderKind.STOP:
        return Standing.PROTECTS
    stop = next((s for s in position.stops if s.client_id == intent.client_id), None)
    if stop is None or stop.purpose not in _MOVES or cover.cover(position) < ledger.exposure(position):
        return Standing.PROTECTS
    return Standing.POINTLESS if ledger.flat(position) else Standing.WAITS


def nearness(position: Position | None, mark: Decimal | None) -> Decimal:
    """How far the mark price is from the stop in force, as a share of the mark; the lowest goes first."""
    stop = None if position is None else trailing.stop_in_force(position)
    return FARTHEST if stop is None or not mark else abs(mark - stop.trigger) / mark
