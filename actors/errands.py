"""Slow work beside an actor: each errand on a thread of its own, one of a name at a time, its end told by message.

For what waits for a disk or a server that starts, so that its actor goes on hearing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrandDone:
    """To the actor itself: an errand is over, with its answer or its error."""

    perishable: ClassVar[bool] = True
    name: str
    answer: object = None
    error: Exception | None = None


class Errands:
    """One actor's, used in its thread."""

    def __init__(self, done: Callable[[ErrandDone], object]) -> None:
        """`done` is called in the errand's thread."""
        self._done = done
        self._under_way: set[str] = set()

    def run(self, name: str, work: Callable[[], object]) -> None:
        """Begin, unless an errand of this name is under way."""
        if name in self._under_way:
            return
        self._under_way.add(name)
        threading.Thread(target=lambda: self._work(name, work), name=f"errand:{name}", daemon=True).start()

    def over(self, done: ErrandDone) -> None:
        """Its end was heard: the next one of this name may begin."""
        self._under_way.discard(done.name)

    def _work(self, name: str, work: Callable[[], object]) -> None:
        try:
            answer = work()
        except Exception as error:  # noqa: BLE001 - handed to the actor, which classifies it
            self._done(ErrandDone(name=name, error=error))
        else:
            self._done(ErrandDone(name=name, answer=answer))
