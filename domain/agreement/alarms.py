"""When disagreement is a matter for a human: too much of it, too long of it, or a stop that somebody keeps taking away.

Rules of this file: an alarm is raised once and ends once; what nobody is to put right (`Finding.lasting`) raises none.
Times are since some moment by a monotonic clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from domain.agreement.sightings import Look, Sighting
from domain.identity import PositionId
from domain.position.state import Position

WITHIN = timedelta(hours=1)
"""Findings and recoveries are counted over so long: with a threshold of ten a day's rare accidents raise nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From how much on a human is told; 0: never. `findings` and `recoveries` (of one position) within an hour."""

    findings: int = 10
    unrepaired: timedelta = timedelta(minutes=1)
    recoveries: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What is to be told. `over`: it is a matter no more."""

    why: str
    figures: Mapping[str, object]
    over: bool = False


@dataclass(slots=True)
class _Counted:
    known: int
    at: deque[timedelta] = field(default_factory=deque)
    told: int = 0


class Alarms:
    """What was counted on one account."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._found: deque[timedelta] = deque()
        self._recovered: dict[PositionId, _Counted] = {}
        self._why = ""

    def of_findings(self, look: Look, open_ones: Iterable[Sighting], limit: Thresholds, now: timedelta) -> Alarm | None:
        """After each complete reading: whether there is too much, or too long, disagreement."""
        self._found.extend(now for sighting in look.fresh if not sighting.finding.lasting)
        _forget(self._found, now)
        slow = [
            sighting.finding
            for sighting in open_ones
            if sighting.believed and not sighting.finding.lasting and now - sighting.first >= limit.unrepaired
        ]
        why = ""
        if limit.unrepaired and slow:
            why = "unrepaired"
        elif limit.findings and len(self._found) >= limit.findings:
            why = "many"
        if why == self._why:
            return None
        before, self._why = self._why, why
        figures = {
            "findings": len(self._found),
            "unrepaired": len(slow),
            "symbols": " ".join(sorted({finding.symbol for finding in slow})),
        }
        return Alarm(why=why or before, figures=figures, over=not why)

    def of_stops(
        self, owned: Iterable[Position], limit: Thresholds, now: timedelta
    ) -> tuple[tuple[Position, int], ...]:
        """Positions whose stop had to be put right too often within the hour, told once for each time so often."""
        fought: list[tuple[Position, int]] = []
        counted: dict[PositionId, _Counted] = {}
        for p in owned:
            known = counted[p.id] = self._recovered.get(p.id) or _Counted(known=p.recoveries)
            known.at.extend([now] * (p.recoveries - known.known))
            known.known = p.recoveries
            _forget(known.at, now)
            known.told = min(known.told, len(known.at))
            if limit.recoveries and len(known.at) >= known.told + limit.recoveries:
                known.told = len(known.at)
                fought.append((p, len(known.at)))
        self._recovered = counted
        return tuple(fought)


def _forget(times: deque[timedelta], now: timedelta) -> None:
    while times and now - times[0] > WITHIN:
        times.popleft()
