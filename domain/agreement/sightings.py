"""Findings over time: how often each was seen, which are believed now, which are gone. Pure: the time is an argument.

Times are since some moment by a monotonic clock: wall clocks are stepped. Two readings within less than `APART` are one
sighting.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from domain.agreement.findings import INSISTED_ON, ONCE_MORE, Finding

APART = timedelta(seconds=0.8)


class Sighting(NamedTuple):
    """How often a finding was seen, each time a second apart, when first, when last, and what it was."""

    times: int
    first: timedelta
    last: timedelta
    finding: Finding

    @property
    def seen(self) -> str:
        """'2/3', as the log has it."""
        return f"{self.times}/{self.finding.looks}"

    @property
    def believed(self) -> bool:
        """Whether it was seen often enough."""
        return self.times >= self.finding.looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a reading adds: sightings to tell of, all that is believed now, what is gone, and whether to look again.

    `fresh`: what this look made believed.
    """

    told: tuple[Sighting, ...]
    believed: tuple[Sighting, ...]
    fresh: tuple[Sighting, ...]
    gone: tuple[Sighting, ...]
    doubtful: bool


class Sightings:
    """What was seen so far on one account."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._seen: dict[str, Sighting] = {}
        self._once_more: frozenset[tuple[str, str]] = frozenset()

    def look(self, findings: Iterable[Finding], now: timedelta) -> Look:
        """Count what a complete reading shows. A finding that is `early` counts for nothing, nor is it gone."""
        seen: dict[str, Sighting] = {}
        counted: list[Sighting] = []
        doubtful = False
        figures = set()
        for finding in findings:
            if finding.kind in ONCE_MORE:
                figures.add((finding.key, finding.shown))
            before = self._seen.get(finding.key)
            if finding.early:
                if before is not None:
                    seen[finding.key] = before
                continue
            sighting = _next(before, finding, now)
            seen[finding.key] = sighting
            if before is None or sighting.times != before.times or sighting.first != before.first:
                counted.append(sighting)
            doubtful |= finding.kind in INSISTED_ON and not sighting.believed
        gone = tuple(sighting for key, sighting in self._seen.items() if key not in seen)
        doubtful |= bool(figures - self._once_more)
        self._seen, self._once_more = seen, frozenset(figures)
        believed = tuple(sighting for sighting in counted if sighting.believed)
        return Look(
            told=tuple(sighting for sighting in counted if sighting.times <= sighting.finding.looks),
            believed=believed,
            fresh=tuple(sighting for sighting in believed if sighting.times == sighting.finding.looks),
            gone=gone,
            doubtful=doubtful,
        )

    def open(self) -> tuple[Sighting, ...]:
        """What the last reading showed, and is not gone since."""
        return tuple(self._seen.values())


def _next(before: Sighting | None, finding: Finding, now: timedelta) -> Sighting:
    """Another figure is another finding: it counts from the start."""
    if before is None or before.finding.shown != finding.shown:
        return Sighting(1, now, now, finding)
    if now - before.last < APART:
        return before._replace(finding=finding)
    return Sighting(before.times + 1, before.first, now, finding)
