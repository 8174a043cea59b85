"""The latest scores of the open positions: written by the judge alone, read by anybody."""

from __future__ import annotations

from collections.abc import Mapping

from domain.identity import PositionId
from domain.judgement.health import Health


class Healths:
    """Replaced whole with every look: readers need no lock."""

    def __init__(self) -> None:
        """Nobody was looked at yet."""
        self._found: Mapping[PositionId, Health] = {}

    def put(self, found: Mapping[PositionId, Health]) -> None:
        """What the last look has found; whoever is not in it has no score now."""
        self._found = found

    def get(self, position_id: PositionId) -> Health | None:
        """The last score of a position."""
        return self._found.get(position_id)
