"""Feels the house's pulse several times a second: is every position whole, is everything up?

Rules of this file: a moment counts as whole only if all positions are so at once; that is more than L1 asks for (see
`whole`), so what is measured here is never too little. Times are monotonic seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Self

from tests.chaos.house import House
from tests.chaos.whole import held, not_up, owned

EVERY_S = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """How it was at a moment."""

    at: float
    whole: bool
    up: bool


class Pulse:
    """A thread that looks and remembers."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._beats: list[Beat] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="pulse")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def until_whole(self, since: float) -> float | None:
        """How long from a moment until every position was owned and covered; None if that was not seen."""
        return self._until(since, lambda beat: beat.whole)

    def until_up(self, since: float) -> float | None:
        """How long from a moment until streams, database and entries were up as well; None if that was not seen."""
        return self._until(since, lambda beat: beat.whole and beat.up)

    def _until(self, since: float, well: Callable[[Beat], bool]) -> float | None:
        return next((beat.at - since for beat in self._beats if beat.at >= since and well(beat)), None)

    def _run(self) -> None:
        while not self._over.wait(EVERY_S):
            whole = self._is_whole()
            up = whole and not not_up(self._house)
            self._beats.append(Beat(at=monotonic(), whole=whole, up=up))

    def _is_whole(self) -> bool:
        for exchange in self._house.exchanges.values():
            owners = owned(self._house, exchange)
            if owners is None or any(each.missing(owners) for each in held(exchange)):
                return False
        return True
