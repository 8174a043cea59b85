"""Who owns what: one owner for each account, symbol and position side, and the last state it handed over.

Shared by threads. An owner is claimed before its first order and released when its life is over, so that nobody can
open a second position beside it (LAWS: one owner a position). The states are the values handed to the journal: a
restarted owner takes up from there, never from the dead object.
"""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import NamedTuple

from domain.identity import PositionId
from domain.instrument import PositionSide
from domain.position.state import Position


class Place(NamedTuple):
    """What can have one owner. `side` is None in one-way mode, where long and short are one position."""

    account: str
    symbol: str
    side: PositionSide | None = None


class Owners:
    """The table."""

    def __init__(self) -> None:
        """Nobody owns anything yet."""
        self._lock = threading.Lock()
        self._places: dict[Place, PositionId] = {}
        self._states: dict[PositionId, Position] = {}
        self._foreign: dict[tuple[str, str], Decimal] = {}

    def claim(self, place: Place, position: Position) -> bool:
        """Make `position` the owner of a place; False if somebody else is."""
        with self._lock:
            holder = self._places.get(place)
            if holder is not None and holder != position.id:
                return False
            self._places[place] = position.id
            self._states.setdefault(position.id, position)
            return True

    def handed_over(self, position: Position) -> None:
        """Remember what went to the journal. A released position is not taken back."""
        with self._lock:
            if position.id in self._states:
                self._states[position.id] = position

    def release(self, place: Place, position_id: PositionId) -> None:
        """The life is over; a place that has another owner by now is left alone."""
        with self._lock:
            if self._places.get(place) == position_id:
                del self._places[place]
            self._states.pop(position_id, None)

    def state(self, position_id: PositionId) -> Position | None:
        """The last state handed over."""
        return self._states.get(position_id)

    def owner(self, place: Place) -> PositionId | None:
        """Who owns a place."""
        return self._places.get(place)

    def show_foreign(self, account: str, symbol: str, quantity: Decimal) -> None:
        """A position without an owner was seen at the venue (0: it is gone)."""
        with self._lock:
            if quantity:
                self._foreign[account, symbol] = quantity
            else:
                self._foreign.pop((account, symbol), None)

    def foreign(self, account: str, symbol: str) -> Decimal | None:
        """The size of a position that nobody of us owns, as last seen."""
        return self._foreign.get((account, symbol))

    def all(self, account: str | None = None) -> tuple[Position, ...]:
        """The last states of all positions, by id."""
        with self._lock:
            states = list(self._states.values())
        return tuple(sorted((p for p in states if account in (None, p.account)), key=lambda p: p.id))
