"""One move of a stop on its way through the gateway: the only order that waits for a budget, and not for long.

On the gateway's event loop. It goes by the state that its owner handed over last and by the latest mark price.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

from actors import costs
from actors.marks import Marks
from actors.messages import Perform
from actors.owners import Owners
from domain.orders import OrderIntent
from domain.position import urgency
from domain.position.urgency import FARTHEST, Standing


class StopMove:
    """Ordered by who is nearest to its stop, then by who came first."""

    __slots__ = ("_intent", "_marks", "_order", "_owners", "cost", "give_back", "nearness", "since", "work")

    def __init__(
        self,
        request: Perform,
        intent: OrderIntent,
        owners: Owners,
        marks: Marks,
        work: Callable[[], Coroutine[Any, Any, None]],
        give_back: Callable[[], None],
    ) -> None:
        """`work` sends it; `give_back` answers its owner that it was not sent, so that he decides anew."""
        self._intent = intent
        self._owners = owners
        self._marks = marks
        self._order = 0
        self.cost = costs.of(request)
        self.work = work
        self.give_back = give_back
        self.nearness: Decimal = FARTHEST
        self.since = 0.0

    def __lt__(self, other: StopMove) -> bool:
        """The nearest first."""
        return (self.nearness, self._order) < (other.nearness, other._order)

    def queued(self, now: float, order: int) -> None:
        """It begins to wait at `now` (monotonic)."""
        self.since, self._order = now, order
        self.rank()

    def rank(self) -> None:
        """Find out how near its stop is now."""
        mark = self._marks.get(self._intent.account, self._intent.symbol)
        position = self._owners.state(self._intent.position_id)
        self.nearness = urgency.nearness(position, None if mark is None else mark.price)

    def standing(self) -> Standing:
        """What has become of it."""
        return urgency.standing(self._intent, self._owners.state(self._intent.position_id))
