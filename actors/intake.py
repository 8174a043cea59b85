"""The signals in the entry desk's hand: stored, waiting for their answer, each handed out once.

Bounded in both directions: what finds no room stays in the database, where the desk looks again when its hands are
empty; what was answered long ago is known to the database.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from domain.entries.signal import Signal, action_of
from domain.identity import PositionId

IN_HAND = 5_000
REMEMBERED = 50_000

K = TypeVar("K")
V = TypeVar("V")


class Told:
    """Answers that were handed to the journal: they outlive a desk, whose successor may not find them written yet.

    One for a process. Written by the desk of now alone: a fenced one tells nobody anything.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        """The last `remembered` of them are known."""
        self._remembered = remembered
        self.answers: dict[str, PositionId | None] = {}
        self.acted_on: dict[tuple[str, str], PositionId] = {}

    def answered(self, signal_id: str, position_id: PositionId | None) -> None:
        """The record with this signal's answer is the journal's."""
        self.answers[signal_id] = position_id
        _forget_oldest(self.answers, self._remembered)

    def opened(self, signal_id: str, place: tuple[str, str], position_id: PositionId) -> None:
        """The record in which this signal opened a position is the journal's; `place`: account and the signal's key."""
        self.answered(signal_id, position_id)
        self.acted_on[place] = position_id
        _forget_oldest(self.acted_on, self._remembered)


class Intake:
    """Used by the desk's thread alone."""

    def __init__(self, in_hand: int = IN_HAND, remembered: int = REMEMBERED, told: Told | None = None) -> None:
        """At most `in_hand` signals wait; the last `remembered` answers are known without the database.

        `told`: what desks before this one knew.
        """
        self._in_hand = in_hand
        self._remembered = remembered
        self._told = told or Told()
        self._waiting: deque[Signal] = deque()
        self._ids: set[str] = set()
        self._answered: dict[str, PositionId | None] = {}
        self._acted_on: dict[tuple[str, str], PositionId] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def add(self, signals: Iterable[Signal]) -> list[Signal]:
        """Take signals in their order; returns those that were answered already."""
        doubled: list[Signal] = []
        for signal in signals:
            if signal.id in self._answered or signal.id in self._told.answers:
                doubled.append(signal)
            elif signal.id not in self._ids and len(self._waiting) < self._in_hand:
                self._ids.add(signal.id)
                self._waiting.append(signal)
        return doubled

    def take(self) -> Signal | None:
        """The next one. Unless it is answered it may be added again."""
        if not self._waiting:
            return None
        signal = self._waiting.popleft()
        self._ids.discard(signal.id)
        return signal

    def put_back(self) -> None:
        """Have none in hand any more: all are found again in the database."""
        self._waiting.clear()
        self._ids.clear()

    def answered(self, signal_id: str, position_id: PositionId | None) -> None:
        """Remember an answer, which may not have reached the database yet."""
        self._answered[signal_id] = position_id
        _forget_oldest(self._answered, self._remembered)

    def answer(self, signal_id: str) -> PositionId | None:
        """The position that an answered signal opened or closed."""
        return self._answered.get(signal_id, self._told.answers.get(signal_id))

    def acted_on(self, account: str, key: str, position_id: PositionId) -> None:
        """Remember that a signal with this key opened or closed a position."""
        self._acted_on[account, key] = position_id
        _forget_oldest(self._acted_on, self._remembered)

    def acted_by(self, account: str, key: str) -> PositionId | None:
        """The position of an earlier signal with this key (SYSTEM A4)."""
        return self._acted_on.get((account, key), self._told.acted_on.get((account, key)))


def _forget_oldest(known: dict[K, V], limit: int) -> None:
    while len(known) > limit:
        del known[next(iter(known))]


def as_stored(row: Mapping[str, Any]) -> Signal:
    """A signal from its row in the database: what was stored first under an id is what is acted on."""
    return Signal(
        id=row["id"],
        symbol=row["pair_symbol"],
        exchange=row["exchange_name"],
        account=row["account"],
        action=action_of(row["recommended_action"]),
        score_week=row["score_week"],
        score_month=row["score_month"],
        wave=row["wave"],
        created_at=row["created_at"],
    )
