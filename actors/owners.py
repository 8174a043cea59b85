"""Who owns what: one owner for each account, symbol and position side, and the last state it handed over.

Shared by threads. An owner is claimed before its first order and released when its life is over, so that nobody can
open a second position beside it (LAWS: one owner a position). The states are the values handed to the journal: a
restarted owner takes up from there, never from the dead object.
"""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import NamedTuple

from actors.rule_changes import RuleChanges
from actors.ticket import Ticket
from domain.identity import PositionId
from domain.instrument import PositionSide
from domain.position.state import Position


class Place(NamedTuple):
    """What can have one owner. `side` is None in one-way mode, where long and short are one position.

    Made by `Owners.place`, which knows the mode of each account.
    """

    account: str
    symbol: str
    side: PositionSide | None = None


class Owners:
    """The table."""

    def __init__(self, hedged: frozenset[str] = frozenset()) -> None:
        """Nobody owns anything yet. `hedged`: the accounts that keep long and short apart (SYSTEM B10)."""
        self.hedged = hedged
        self._lock = threading.Lock()
        self._places: dict[Place, PositionId] = {}
        self._states: dict[PositionId, Position] = {}
        self._tickets: dict[PositionId, Ticket] = {}
        self._foreign: dict[Place, Decimal] = {}
        self.rule_changes = RuleChanges()
        self._left: frozenset[tuple[str, str]] = frozenset()

    def place(self, account: str, symbol: str, side: PositionSide | None) -> Place:
        """Where a position of this side belongs."""
        return Place(account, symbol, side if account in self.hedged else None)

    def place_of(self, position: Position) -> Place:
        """Where a position belongs."""
        return self.place(position.account, position.symbol, position.side)

    def claim(self, place: Place, position: Position, rules_known: int = 0) -> bool:
        """Make `position` the owner of a place; False if somebody else is. `rules_known`: see `RuleChanges.made`."""
        with self._lock:
            holder = self._places.get(place)
            if holder is not None and holder != position.id:
                return False
            self._places[place] = position.id
            self._states.setdefault(position.id, position)
            self.rule_changes.made(position.id, rules_known)
            return True

    def handed_over(self, position: Position, ticket: Ticket | None = None) -> bool:
        """Remember what goes to the journal, before it does.

        False, and nothing is remembered: it was released, or a later owner has handed a state over.
        """
        with self._lock:
            known = self._states.get(position.id)
            if known is None or position.epoch < known.epoch:
                return False
            self._states[position.id] = position
            if ticket is not None:
                self._tickets[position.id] = ticket
            return True

    def ticket(self, position_id: PositionId) -> Ticket | None:
        """That of the last record handed over, whoever did it: the next one is durable with it or not at all."""
        return self._tickets.get(position_id)

    def let_go(self, place: Place, position_id: PositionId) -> bool:
        """Release a claim on which nothing was built; False if its first state was handed over."""
        with self._lock:
            if position_id in self._tickets:
                return False
            self._release(place, position_id)
            return True

    def release(self, place: Place, position_id: PositionId) -> None:
        """The life is over; a place that has another owner by now is left alone."""
        with self._lock:
            self._release(place, position_id)

    def state(self, position_id: PositionId) -> Position | None:
        """The last state handed over."""
        return self._states.get(position_id)

    def owner(self, place: Place) -> PositionId | None:
        """Who owns a place."""
        return self._places.get(place)

    def owners_on(self, account: str, symbol: str) -> tuple[PositionId, ...]:
        """Whoever owns a position on a symbol: in hedge mode there may be two."""
        with self._lock:
            return tuple(owner for place, owner in self._places.items() if place[:2] == (account, symbol))

    def show_foreign(self, place: Place, quantity: Decimal) -> None:
        """A position without an owner was seen at the venue (0: it is gone)."""
        with self._lock:
            if quantity:
                self._foreign[place] = quantity
            else:
                self._foreign.pop(place, None)

    def foreign(self, place: Place) -> Decimal | None:
        """The size of a position that nobody of us owns, as last seen."""
        return self._foreign.get(place)

    def foreign_on(self, account: str, symbol: str) -> bool:
        """Whether a position that nobody of us owns was last seen on a symbol, on either side."""
        with self._lock:
            return any(place[:2] == (account, symbol) for place in self._foreign)

    def leave_to_humans(self, symbols: frozenset[tuple[str, str]]) -> None:
        """Accounts and symbols whose positions were handed back to a human and are open still: said by the desk."""
        self._left = symbols

    def left_to_humans(self, account: str, symbol: str) -> bool:
        """Whether a human has taken over what is open on a symbol: that nobody here owns it is as it should be."""
        return (account, symbol) in self._left

    def strangers(self, account: str) -> tuple[Place, ...]:
        """Where positions that nobody of us owns were last seen."""
        with self._lock:
            return tuple(place for place in self._foreign if place.account == account)

    def _release(self, place: Place, position_id: PositionId) -> None:
        if self._places.get(place) == position_id:
            del self._places[place]
        self._states.pop(position_id, None)
        self._tickets.pop(position_id, None)
        self.rule_changes.forget(position_id)

    def all(self, account: str | None = None) -> tuple[Position, ...]:
        """The last states of all positions, by id."""
        with self._lock:
            states = list(self._states.values())
        return tuple(sorted((p for p in states if account in (None, p.account)), key=lambda p: p.id))
