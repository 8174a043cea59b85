"""The gate's memory: released positions, cooldown, 'not yet' before 'no'."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from actors.entry_gate import EntryGate
from actors.owners import Owners, Place

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_not_yet_comes_before_no() -> None:
    gate = EntryGate(["main"])
    said = [gate.closed_because("main")]
    gate.loaded = True
    said.append(gate.closed_because("main"))
    assert gate.account_read("main")
    assert not gate.account_read("main")
    said.append(gate.closed_because("main"))
    gate._unordered.clear()
    said.append(gate.closed_because("main"))
    gate.lock("main", held=True, reason="")  # no answer of the warden yet: it proves nothing
    said.append(gate.undecidable("main"))
    gate.pause("main", "lunch")
    gate.locks({"main": "gone"})
    said += [gate.undecidable("main"), gate.closed_because("main")]
    gate.lock("main", held=True, reason="")
    said.append(gate.closed_because("main"))
    gate.resume("main")
    said.append(gate.closed_because("main"))
    assert said == [
        "the database cannot be reached",
        "the account has not been read yet",
        "what was ordered on the account has not been read yet",
        "the warden has not said yet whether the account's lock is held",
        "the warden has not said yet whether the account's lock is held",
        "protection_only: gone",
        "protection_only: gone",
        "lunch",
        None,
    ]


def test_a_release_is_over_when_the_venue_shows_flat() -> None:
    gate, owners = EntryGate(["main"]), Owners()
    owners.show_foreign(Place("main", "BTCUSDT"), Decimal(1))
    gate.release("main", "BTCUSDT", owners, NOON)
    assert owners.left_to_humans("main", "BTCUSDT")
    later = NOON + timedelta(seconds=6)
    assert gate.forget_flat("main", owners, later) is None
    owners.show_foreign(Place("main", "BTCUSDT"), Decimal(0))
    assert gate.forget_flat("main", owners, NOON + timedelta(seconds=4)) is None, "a reading may be older"
    assert gate.forget_flat("second", owners, later) is None
    assert gate.forget_flat("main", owners, later) == {"released_positions": {}}
    assert not gate.is_released("main", "BTCUSDT")
    assert not owners.left_to_humans("main", "BTCUSDT")


def test_the_newest_order_counts() -> None:
    gate = EntryGate(["main"])
    gate.ordered("main", "BTC", NOON)
    gate.ordered("main", "BTC", NOON - timedelta(hours=1))
    assert gate.last_order_at("main", "BTC") == NOON
    assert gate.last_order_at("second", "BTC") is None
