"""Leases for benches without a keeper."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from actors.clock import Clock
from actors.lease import Lease

FOR_EVER = datetime.max.replace(tzinfo=UTC)


def held_lease(
    clock: Clock,
    *,
    instance: str = "ab12",
    term: int = 1,
    standby: bool = False,
    superseded: Callable[[str, int], object] = lambda reason, seen: None,
) -> Lease:
    """A lease that is proven for as long as a test lasts."""
    lease = Lease("main", clock, instance=instance, term=term, standby=standby, superseded=superseded)
    lease.proven(FOR_EVER)
    return lease
