"""Who must be up for a start: those that protect, decide and write; nobody else keeps positions from their owners."""

from __future__ import annotations

from tests.actors.desk.test_reload import House, house

__all__ = ["house"]


def test_a_start_needs_nobody_who_only_looks_tells_or_keeps(house: House) -> None:
    needed = {spec.name for spec in house.tree._specs() if spec.essential}
    assert needed.isdisjoint({"web", "alarms", "archivist", "judge", "performance", "gateway/main"})
    assert needed >= {"journal", "warden", "entry_desk", "kill_switch", "positions/main", "reconciler/main"}
