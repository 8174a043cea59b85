"""Times of single stop-moves, taken inside the process where actors hand them on."""

from __future__ import annotations

from dataclasses import dataclass

from actors.clock import Clock
from actors.messages import Perform
from domain.position.effects import Place


@dataclass(slots=True, kw_only=True)
class Move:
    """One stop-move, from the mark price that caused it to its request at the venue; seconds of one clock."""

    mark_in: float
    decided: float
    handed_over: float
    heard: float
    out: float = 0.0


class Stopwatch:
    """What has been timed. A symbol's move is begun by its price and ended by the request that was decided upon it."""

    def __init__(self, clock: Clock) -> None:
        """Times are read from the clock that the actors are given."""
        self._clock = clock
        self._marks: dict[str, float] = {}
        self._under_way: dict[str, Move] = {}
        self.moves: list[Move] = []
        self.begun = 0

    def start(self) -> None:
        """Forget what has been timed."""
        self._marks.clear()
        self.moves = []
        self.begun = 0

    def now(self) -> float:
        """Seconds."""
        return self._clock.now().timestamp()

    def mark_in(self, symbol: str, at: float) -> None:
        """A price that is to move a stop has been read."""
        self._marks[symbol] = at
        self.begun += 1

    def heard(self, request: Perform) -> None:
        """A gateway got a request."""
        effect, ticket = request.effect, request.ticket
        if ticket is None or not isinstance(effect, Place):
            return
        decided = ticket.record.at.timestamp()
        mark_in = self._marks.get(request.symbol)
        if mark_in is not None and decided >= mark_in:
            del self._marks[request.symbol]
            self._under_way[effect.intent.client_id] = Move(
                mark_in=mark_in, decided=decided, handed_over=request.asked_at.timestamp(), heard=self.now()
            )

    def out(self, client_id: str) -> None:
        """A stop's request would leave now."""
        move = self._under_way.pop(client_id, None)
        if move is not None:
            move.out = self.now()
            self.moves.append(move)
