"""Whether entries are open, over restarts of the desk; the lines that say which check decided."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from actors import messages
from actors.agreement_messages import Adopt
from actors.messages import (
    DatabaseIs,
    LockIs,
    PauseEntries,
    PositionEnded,
    Reconciled,
    ResumeEntries,
)
from actors.owners import Place
from actors.supervision import StartChild
from domain.instrument import PositionSide
from domain.position.inputs import CloseWanted
from domain.position.state import CloseReason, Phase, Position
from tests.actors.desk.scene import PRICES, Scene, instrument
from tests.actors.order_path.stage import Ear, Heard
from tests.persistence import samples
from tests.persistence.conftest import Query

D = Decimal


def restarted(scene: Scene) -> None:
    scene.stage.kill(messages.ENTRY_DESK)
    for account in scene.wiring.accounts:
        scene.stage.tell(messages.ENTRY_DESK, Reconciled(account=account))


def kept(scene: Scene, key: str, value: object) -> None:
    scene.wait(lambda: scene.reader.fact(key) == value, f"{key} = {value} in the database")


def adopt(symbol: str = "BTCUSDT", *, close: bool = False) -> Adopt:
    return Adopt(
        account="main",
        instrument=instrument(symbol),
        side=PositionSide.SHORT,
        quantity=D("0.01"),
        entry_price=PRICES[symbol],
        mark_price=PRICES[symbol],
        close=close,
        seen_at=datetime.now(UTC),
    )


def ended(scene: Scene, **changes: Any) -> None:
    """The position's life is over."""
    (position,) = scene.owned()
    over = replace(position, **{"phase": Phase.CLOSED, "closed_at": datetime.now(UTC), **changes})
    scene.stage.tell(messages.ENTRY_DESK, PositionEnded(position=over))
    scene.wait(lambda: not scene.owned(), "the end")


def test_pause_of_all_and_of_one_outlives_the_desk(scene: Scene, rows: Query) -> None:
    scene.desk(accounts={"main": {}, "second": {}})
    scene.stage.tell(messages.ENTRY_DESK, PauseEntries(account="second", reason="quarterly", uid=7))
    assert scene.entries() == {"main": None, "second": "quarterly"}
    scene.stage.tell(messages.ENTRY_DESK, PauseEntries(account=None, reason="lunch", uid=7))
    assert scene.entries() == {"main": "lunch", "second": "quarterly"}
    kept(scene, "entries_paused", {"second": "quarterly", "*": "lunch"})
    restarted(scene)
    assert scene.entries() == {"main": "lunch", "second": "quarterly"}
    refused = scene.by_hand()
    assert (refused.code, refused.figures) == ("entries_closed", {"reason": "lunch"})
    scene.stage.tell(messages.ENTRY_DESK, ResumeEntries(account="second", uid=7))
    assert scene.entries() == {"main": "lunch", "second": "lunch"}
    scene.stage.tell(messages.ENTRY_DESK, ResumeEntries(account=None, uid=7))
    assert scene.entries() == {"main": None, "second": None}
    kept(scene, "entries_paused", {})
    restarted(scene)
    assert scene.entries() == {"main": None, "second": None}
    told = rows("SELECT event_type, event_data, account FROM monitoring.events WHERE event_type LIKE 'entries_%%'")
    assert [(t["event_type"], t["account"]) for t in told] == [
        ("entries_paused", "second"),
        ("entries_paused", None),
        ("entries_resumed", "second"),
        ("entries_resumed", None),
    ]


def test_a_pause_is_not_forgotten_when_the_database_returns(scene: Scene) -> None:
    """What is read again then may be older than the order."""
    scene.desk(journal=False)
    scene.stage.tell(messages.ENTRY_DESK, DatabaseIs(up=False))
    scene.stage.tell(messages.ENTRY_DESK, PauseEntries(account=None, reason="storm", uid=7))
    scene.stage.tell(messages.ENTRY_DESK, DatabaseIs(up=True))
    assert scene.entries() == {"main": "storm"}


def test_a_pause_that_was_lifted_does_not_come_back_with_the_database(scene: Scene) -> None:
    scene.add_facts({"entries_paused": {"*": "lunch"}})
    scene.desk(journal=False)
    assert scene.entries() == {"main": "lunch"}
    scene.stage.tell(messages.ENTRY_DESK, DatabaseIs(up=False))
    scene.stage.tell(messages.ENTRY_DESK, ResumeEntries(account=None, uid=7))
    assert scene.entries() == {"main": "the database cannot be reached"}
    scene.stage.tell(messages.ENTRY_DESK, DatabaseIs(up=True))
    assert scene.entries() == {"main": None}


def test_a_lost_lock_is_known_to_a_desk_that_was_not_there_when_it_was_told(scene: Scene) -> None:
    scene.desk()
    scene.stage.tell(messages.ENTRY_DESK, LockIs(account="main", held=False, reason="protection_only: gone"))
    assert scene.entries() == {"main": "protection_only: gone"}
    scene.locks_lost["main"] = "gone"
    restarted(scene)
    assert scene.entries() == {"main": "protection_only: gone"}
    assert scene.by_hand().code == "entries_closed"
    scene.stage.tell(messages.ENTRY_DESK, LockIs(account="main", held=True))
    assert scene.entries() == {"main": None}


def test_cooldown_is_by_base_over_its_pairs_and_over_restarts(scene: Scene, lines: list[str]) -> None:
    scene.desk()
    scene.by_hand("BTCUSDT")
    ended(scene)
    scene.wait(scene.reader.last_event_seq, "the journal")
    refused = scene.by_hand("BTCBUSD")
    assert refused.code == "cooldown"
    assert refused.figures["base"] == "BTC"
    assert 280 <= refused.figures["seconds_remaining"] <= 300
    said = f"INFO GUARD cooldown_blocked symbol=BTCBUSD seconds_remaining={refused.figures['seconds_remaining']} "
    assert any(line.startswith(said) for line in lines)
    assert scene.by_hand("1000PEPEUSDT").symbol == "1000PEPEUSDT"
    assert scene.by_hand("PEPEUSDT").symbol == "PEPEUSDT"
    assert "INFO GUARD cooldown_passed symbol=PEPEUSDT" in lines
    restarted(scene)
    assert scene.by_hand("1000PEPEUSDT").code == "duplicate_position"


@pytest.mark.parametrize(("ago_s", "code"), [(250, "cooldown"), (350, None)])
def test_cooldown_counts_from_an_end_by_a_stop_in_an_earlier_life_too(
    scene: Scene, ago_s: int, code: str | None
) -> None:
    """The stop was sent hours before: its intent says nothing of when it acted."""
    now = datetime.now(UTC)
    ends = {"closed_at": now - timedelta(seconds=ago_s), "opened_at": now - timedelta(hours=3)}
    scene.add_position(samples.position(7, phase=Phase.CLOSED, **ends))
    scene.desk()
    assert getattr(scene.by_hand("BTCBUSD"), "code", None) == code
    assert scene.by_hand("ETHUSDT").symbol == "ETHUSDT"


def test_cooldown_is_known_where_the_exchange_was_away_at_the_start(scene: Scene) -> None:
    """Without its instruments nobody knows which orders were for which coin."""
    scene.add_position(samples.position(7, phase=Phase.CLOSED, closed_at=datetime.now(UTC)))
    scene.desk(read=False, accounts={"main": {}, "second": {}})
    for desk in scene.wiring.accounts.values():
        desk.instruments.clear()
    restarted(scene)
    scene.prices()
    said = "what was ordered on the account has not been read yet"
    assert scene.entries() == {"main": said, "second": said}
    scene.wiring.accounts["main"].instruments.update({symbol: instrument(symbol) for symbol in PRICES})
    scene.stage.tell(messages.ENTRY_DESK, Reconciled(account="main"))
    assert scene.entries() == {"main": None, "second": said}
    assert scene.by_hand("BTCUSDT").code == "cooldown"


def test_cooldown_counts_what_the_journal_has_not_written_yet(scene: Scene) -> None:
    scene.desk(journal=False)
    scene.by_hand("BTCUSDT")
    restarted(scene)
    assert scene.by_hand("BTCBUSD").code == "cooldown"


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ({"stop_list": frozenset({"btc/usdt:usdt"})}, "stop_list"),
        ({"allow_list": frozenset({"ETH-USDT-SWAP"})}, "not_in_allow_list"),
        ({"allow_list": frozenset({"NOSUCHUSDT"})}, "not_in_allow_list"),
        ({"allow_list": frozenset({"BTC_USDT"})}, None),
    ],
)
def test_lists_in_any_spelling(scene: Scene, rules: dict[str, Any], code: str | None) -> None:
    scene.desk(rules=rules)
    answer = scene.by_hand("BTCUSDT")
    assert getattr(answer, "code", None) == code


def test_an_excluded_symbol_is_never_entered(scene: Scene) -> None:
    scene.desk(accounts={"main": {"exclude": frozenset({"BTC/USDT"})}})
    refused = scene.by_hand("BTCUSDT")
    assert (refused.code, refused.figures) == ("excluded", {"symbol": "BTCUSDT", "account": "main"})
    assert scene.by_hand("ETHUSDT").symbol == "ETHUSDT"


def test_exposure_counts_what_is_still_being_opened(scene: Scene) -> None:
    scene.desk(rules={"max_exposure_usd": D(600)})
    assert scene.by_hand("BTCUSDT", usd=D(300)).symbol == "BTCUSDT"
    refused = scene.by_hand("ETHUSDT", usd=D(302))
    assert refused.code == "too_much_exposure"
    assert refused.figures == {"exposure_usd": "300", "entry_usd": "302", "max_exposure_usd": "600"}
    assert scene.by_hand("ETHUSDT", usd=D(300)).symbol == "ETHUSDT"


def test_a_strangers_position_blocks_its_symbol(scene: Scene) -> None:
    scene.desk()
    scene.stage.owners.show_foreign(Place("main", "BTCUSDT"), D("-0.5"))
    refused = scene.by_hand("BTCUSDT")
    assert (refused.code, refused.figures) == ("untracked_position", {"symbol": "BTCUSDT", "quantity": "-0.5"})
    assert scene.by_hand("ETHUSDT").symbol == "ETHUSDT"


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"quantity": D("0.0015")}, "quantity_off_step"),
        ({"quantity": D(11)}, "quantity_out_of_range"),
        ({"usd": D(1)}, "below_minimum"),
        ({"stop_price": D(50_001)}, "stop_on_wrong_side"),
        ({"stop_price": D(5_000)}, "stop_too_far"),
        ({"stop_pct": D(51)}, "stop_too_far"),
    ],
)
def test_operators_own_figures(scene: Scene, wish: dict[str, Any], code: str) -> None:
    scene.desk()
    assert scene.by_hand(**wish).code == code
    assert scene.owned() == ()


def test_prices_have_to_be_fresh(scene: Scene, lines: list[str]) -> None:
    scene.desk()
    scene.prices(age_s=16)
    refused = scene.by_hand()
    assert (refused.code, refused.figures["limit_s"]) == ("stale_mark_price", 15)
    assert any(line.startswith("INFO GUARD price_blocked symbol=BTCUSDT age_s=1") for line in lines)


def test_adopted_and_told_to_close_once_its_owner_lives(scene: Scene, rows: Query) -> None:
    scene.desk()
    scene.stage.tell(messages.ENTRY_DESK, adopt(close=True))
    start = scene.heard[messages.positions("main")].wait(StartChild)
    owner = Heard()
    scene.stage.add(start.spec.name, lambda context: Ear.start(context, owner))
    assert owner.wait(CloseWanted).reason is CloseReason.OUTSIDE
    (position,) = scene.owned()
    assert (position.adopted, position.side, position.adopted_quantity) == (True, PositionSide.SHORT, D("0.01"))
    scene.stage.tell(messages.ENTRY_DESK, adopt(close=True))
    assert scene.by_hand().code == "opposite_position"
    assert len(scene.owned()) == 1


def test_a_released_position_is_not_adopted_until_it_is_flat(scene: Scene) -> None:
    scene.desk()
    scene.stage.tell(messages.ENTRY_DESK, adopt())
    scene.wait(scene.owned, "the adoption")
    long_ago = datetime.now(UTC) - timedelta(minutes=10)
    ended(scene, phase=Phase.RELEASED, closed_at=long_ago)
    scene.wait(lambda: scene.reader.fact("released_positions"), "the release in the database")
    restarted(scene)
    scene.stage.tell(messages.ENTRY_DESK, adopt())
    refused = scene.by_hand()
    assert (refused.code, refused.figures["quantity"]) == ("untracked_position", "-0.01")
    assert scene.owned() == ()


def test_what_was_adopted_is_no_strangers_position_after_its_end(scene: Scene) -> None:
    """No reading comes between its end and the next entry, which was refused for what we had closed ourselves."""
    scene.desk(rules={"cooldown_s": 0})
    place = scene.stage.owners.place("main", "BTCUSDT", PositionSide.SHORT)
    scene.stage.owners.show_foreign(place, D("-0.01"))
    assert scene.by_hand().code == "untracked_position"
    scene.stage.tell(messages.ENTRY_DESK, adopt())
    scene.wait(scene.owned, "the adoption")
    ended(scene)
    opened = scene.by_hand()
    assert isinstance(opened, Position), opened


def test_what_was_seen_long_ago_is_not_adopted(scene: Scene) -> None:
    """A desk that hung got a finding later than a human had turned the position over: a stop of the wrong side (S4)."""
    scene.desk()
    old = datetime.now(UTC) - timedelta(seconds=6)
    scene.stage.tell(messages.ENTRY_DESK, replace(adopt(), seen_at=old))
    assert scene.entries() == {"main": None}
    assert scene.owned() == ()


def test_what_the_stream_shows_otherwise_is_not_adopted(scene: Scene) -> None:
    scene.desk()
    place = scene.stage.owners.place("main", "BTCUSDT", PositionSide.SHORT)
    scene.stage.owners.show_foreign(place, D("0.01"))
    scene.stage.tell(messages.ENTRY_DESK, adopt())
    assert scene.entries() == {"main": None}
    assert scene.owned() == ()
    scene.stage.owners.show_foreign(place, D("-0.01"))
    scene.stage.tell(messages.ENTRY_DESK, adopt())
    scene.wait(scene.owned, "the adoption")


def test_dry_run_adopts_nothing(scene: Scene) -> None:
    scene.desk(dry_run=True)
    scene.stage.tell(messages.ENTRY_DESK, adopt())
    assert scene.entries() == {"main": None}
    assert scene.owned() == ()
