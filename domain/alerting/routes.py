"""Which channel carries which alert."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from domain.catalogue import Severity
from domain.records import AlertChange

_ORDER = tuple(Severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way to a channel: what is at least so grave and, where types are named, of one of them."""

    channel: str
    lowest: Severity = Severity.INFO
    types: frozenset[str] = frozenset()

    def takes(self, alert: AlertChange) -> bool:
        """Whether the alert goes this way."""
        grave = _ORDER.index(alert.severity or Severity.WARNING) >= _ORDER.index(self.lowest)
        return grave and (not self.types or alert.type in self.types)


def channels_for(alert: AlertChange, routes: Iterable[Route]) -> frozenset[str]:
    """The channels that are to carry it; of several ways to one channel any is enough."""
    return frozenset(route.channel for route in routes if route.takes(alert))
