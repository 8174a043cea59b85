"""Positions that are to be closed as soon as their owners live: asked for until the owner's state shows it.

An owner that was just started, or is being restarted, hears nothing yet; a close that was told to nobody would be lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from actors import messages
from actors.guard import GuardedActor
from actors.owners import Owners
from domain.entries.signal import Signal
from domain.identity import PositionId
from domain.position.inputs import CloseWanted
from domain.position.state import CloseReason

TELL_AGAIN_S = 5.0


@dataclass(slots=True, kw_only=True)
class Closing:
    """One wish; `signal` waits for its answer, `told_at` is monotonic."""

    reason: CloseReason
    signal: Signal | None = None
    told_at: float | None = None


class Closings:
    """Used by the desk's thread alone."""

    def __init__(self, desk: GuardedActor, owners: Owners) -> None:
        """`desk` is who tells the owners."""
        self._desk = desk
        self._owners = owners
        self._wanted: dict[PositionId, Closing] = {}

    def __len__(self) -> int:
        """How many owners have not taken it up yet."""
        return len(self._wanted)

    def want(self, position_id: PositionId, reason: CloseReason, signal: Signal | None = None) -> bool:
        """Have a position closed; False if that is under way already."""
        if position_id in self._wanted:
            return False
        self._wanted[position_id] = Closing(reason=reason, signal=signal)
        return True

    def push(self) -> Iterator[tuple[PositionId, Signal]]:
        """Tell those owners that live by now; gives the signals whose close has arrived, once each."""
        now = self._desk.clock.monotonic()
        for position_id, closing in list(self._wanted.items()):
            state = self._owners.state(position_id)
            if state is None or state.close_wanted is not None or state.phase.final:
                del self._wanted[position_id]
                if closing.signal is not None:
                    yield position_id, closing.signal
                continue
            name = messages.position(position_id)
            due = closing.told_at is None or now - closing.told_at > TELL_AGAIN_S
            if due and self._desk.directory.ref(name) is not None:
                self._desk.tell(name, CloseWanted(reason=closing.reason))
                closing.told_at = now
