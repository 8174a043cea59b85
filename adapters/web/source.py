"""What the web server is given to show: questions that change nothing. The web actor answers them.

Each is asked on a thread beside the server's loop, so it may wait for an actor or the database, for a few seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Plain = dict[str, Any]


class NotNow(Exception):
    """It cannot be answered at this moment, and why: the database is away, an actor does not answer."""


class BadQuestion(Exception):
    """A parameter is wrong: which one, its value and the rule."""


class UnknownThing(Exception):
    """There is nothing of that id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events are wanted; None: any."""

    since: int | None = None
    limit: int = 100
    symbol: str | None = None
    type: str | None = None
    severity: str | None = None
    position: int | None = None
    correlation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value of a metric under its labels."""

    labels: Mapping[str, str] = field(default_factory=dict)
    value: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One metric: `kind` is gauge or counter; a counter's name ends in _total."""

    name: str
    help: str
    kind: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One histogram: `counts` holds how many fell between two of `bounds_s`, the last beyond all."""

    name: str
    help: str
    labels: Mapping[str, str]
    bounds_s: tuple[float, ...]
    counts: tuple[int, ...]
    sum_s: float


class Source(Protocol):
    """Raises NotNow, BadQuestion, UnknownThing. Thread-safe."""

    def health(self) -> Plain:
        """INTERFACE `/health`; `healthy` says which status code it is."""

    def stats(self) -> Plain:
        """Figures of today and since the start."""

    def positions(self, account: str | None, symbol: str | None, *, closed: int) -> Plain:
        """Open positions, from memory; with `closed` also the last so many that are over, from the database."""

    def drawing(self, position_id: int) -> Plain:
        """What a position's chart is drawn from."""

    def events(self, wanted: EventFilter) -> Plain:
        """Events and where to go on."""

    def trend(self) -> Plain:
        """Warnings and errors of the last day, by time."""

    def audit(self, symbol: str | None) -> Plain:
        """INTERFACE `/api/diagnostics/alerts_audit`."""

    def picture(self) -> Plain:
        """All that the page shows live, at this moment; `open` may be more than `positions` holds. One at a time."""

    def news(self, since: int | None) -> Plain:
        """Events after `since`, as the page shows them, and where to go on; None: from now on."""

    def figures(self) -> tuple[list[Figure], list[Spread]]:
        """What Prometheus is told."""

    def hide(self, text: str) -> str:
        """The text without secrets."""
