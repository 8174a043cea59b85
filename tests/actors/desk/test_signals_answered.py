"""What becomes of a stored signal: opened, closed or refused with code and figures, once, whatever falls over."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from actors import entry_desk, messages, wave_desk
from actors.clock import SystemClock
from actors.messages import LockIs, PositionEnded, Reconciled, ReconcileNow, SignalsStored, Write
from actors.standing import Standing
from actors.supervision import StartChild
from domain.entries.sizing import Sizing
from domain.entries.waves import WaveRules
from domain.orders import AccountSnapshot
from domain.position.inputs import CloseWanted
from domain.position.state import CloseReason, Phase
from tests.actors.desk.scene import Scene, as_signal
from tests.actors.order_path.stage import Ear, Heard
from tests.end_to_end.signal_source import signal_row
from tests.persistence.conftest import Query

D = Decimal
NOT_OPENED = "SELECT count(*) AS n FROM monitoring.positions"


def fresh() -> str:
    return f"sig-{uuid.uuid4().hex[:12]}"


def minute_ago(minutes: int) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()


def started(scene: Scene, account: str = "main") -> list[StartChild]:
    return scene.heard[messages.positions(account)].of(StartChild)


def test_opened_with_the_figures_of_its_size(scene: Scene) -> None:
    name = fresh()
    scene.desk().store(signal_row(name, "BTC/USDT:USDT"))
    row = scene.outcome(name)
    assert row["outcome"] == "opened"
    assert row["outcome_figures"] == {"quantity": "0.005", "price": "50000", "usd": "250", "notional": "250"}
    (position,) = scene.owned()
    assert (position.id, position.symbol, position.side.value) == (row["position_id"], "BTCUSDT", "long")
    assert (position.signal_id, position.correlation_id) == (name, name)
    assert [start.spec.name for start in started(scene)] == [messages.position(position.id)]


def test_refused_with_code_and_figures(scene: Scene, rows: Query) -> None:
    scene.desk(sizing=Sizing(usd=D(4)))
    names = {
        "stale_signal": signal_row(fresh(), "BTCUSDT", age_s=601),
        "unknown_symbol": signal_row(fresh(), "NOSUCHUSDT"),
        "below_minimum": signal_row(fresh(), "ETHUSDT"),
        "no_position": signal_row(fresh(), "BTCUSDT", "CLOSE"),
    }
    scene.store(*names.values())
    found = {code: scene.outcome(str(row["id"])) for code, row in names.items()}
    assert {code: row["outcome"] for code, row in found.items()} == {code: code for code in names}
    assert found["stale_signal"]["outcome_figures"]["max_age_s"] == 600
    assert found["stale_signal"]["outcome_figures"]["age_s"] >= 601
    assert "NOSUCHUSDT" in found["unknown_symbol"]["outcome_figures"]["error"]
    assert found["below_minimum"]["outcome_figures"]["min_notional"] == "5"
    assert rows.one(NOT_OPENED)["n"] == 0
    events = rows("SELECT correlation_id FROM monitoring.events WHERE event_type = 'signal_refused'")
    assert sorted(str(e["correlation_id"]) for e in events) == sorted(str(r["id"]) for r in names.values())


def test_an_action_that_is_none_of_ours_is_stored_and_refused(scene: Scene, lines: list[str]) -> None:
    """It stays answered when its wave and its twins come, and by a desk that was restarted."""
    hold = signal_row(fresh(), "BTCUSDT", "hold", wave="w")
    scene.desk().store(hold, signal_row(fresh(), "ETHUSDT", wave="w"))
    row = scene.outcome(str(hold["id"]))
    assert (row["outcome"], row["recommended_action"]) == ("unsupported_action", "HOLD")
    assert row["outcome_figures"] == {"action": "HOLD", "supported": "BUY,SELL,CLOSE"}
    scene.wait(scene.owned, "a position")
    assert [p.symbol for p in scene.owned()] == ["ETHUSDT"]
    scene.stage.kill(messages.ENTRY_DESK)
    scene.stage.tell(messages.ENTRY_DESK, Reconciled(account="main"))
    scene.store(hold)
    said = f"INFO GUARD idempotency_blocked signal_key={hold['id']} existing_order_id=None"
    scene.wait(lambda: said in lines, said)
    assert scene.outcome(str(hold["id"])) == row


def test_an_unsupported_action_is_left_to_whoever_holds_the_lock(scene: Scene) -> None:
    hold = signal_row(fresh(), "BTCUSDT", "HOLD")
    scene.desk()
    scene.stage.tell(messages.ENTRY_DESK, LockIs(account="main", held=False, reason="another process has it"))
    scene.store(hold)
    probe = signal_row(fresh(), "BTCUSDT", account="nobody")
    scene.store(probe)
    assert scene.outcome(str(probe["id"]))["outcome"] == "unknown_account"
    row = scene.reader.signal(str(hold["id"]))
    assert row is not None
    assert not row["is_processed"]


# Which account is meant.


@pytest.mark.parametrize("exchange", ["binance", "binanceusdm", "BINANCE", "Binance_Futures"])
def test_spellings_of_an_exchange(scene: Scene, exchange: str) -> None:
    name = fresh()
    scene.desk().store({**signal_row(name, "BTCUSDT"), "exchange": exchange})
    assert scene.outcome(name)["outcome"] == "opened"


def test_account_named_or_else_the_exchange_fits_exactly_one(scene: Scene) -> None:
    scene.desk(accounts={"main": {}, "second": {}})
    both, named, nobody, nowhere = fresh(), fresh(), fresh(), fresh()
    scene.store(
        signal_row(both, "BTCUSDT"),
        signal_row(named, "BTCUSDT", account="second"),
        signal_row(nobody, "BTCUSDT", account="third"),
        signal_row(nowhere, "BTCUSDT", exchange="kraken"),
    )
    ambiguous = scene.outcome(both)
    assert (ambiguous["outcome"], ambiguous["outcome_figures"]["fitting"]) == ("ambiguous_account", "main,second")
    assert scene.outcome(named)["outcome"] == "opened"
    assert [p.account for p in scene.owned()] == ["second"]
    unknown = scene.outcome(nobody)
    assert (unknown["outcome"], unknown["outcome_figures"]) == (
        "unknown_account",
        {"account": "third", "known": "main,second"},
    )
    kraken = scene.outcome(nowhere)
    assert (kraken["outcome"], kraken["outcome_figures"]["exchange"]) == ("ambiguous_account", "kraken")


# Once.


def test_same_id_twice_in_one_breath_is_one_position(scene: Scene, lines: list[str]) -> None:
    name = fresh()
    row = signal_row(name, "BTCUSDT")
    scene.desk().store(row, {**row, "symbol": "ETHUSDT"})
    scene.store(row)
    assert scene.outcome(name)["outcome"] == "opened"
    scene.store(row)
    blocked = f"INFO GUARD idempotency_blocked signal_key={name} existing_order_id={scene.owned()[0].id}"
    scene.wait(lambda: blocked in lines, blocked)
    assert [p.symbol for p in scene.owned()] == ["BTCUSDT"]
    assert scene.outcome(name)["position_id"] == scene.owned()[0].id


def test_same_id_again_after_a_restart(scene: Scene, lines: list[str]) -> None:
    """The first answer stands: nothing is decided a second time."""
    scene.desk(rules={"cooldown_s": 0})
    row = signal_row(fresh(), "BTCUSDT")
    scene.store(row)
    first = scene.outcome(str(row["id"]))
    scene.stage.tell(messages.ENTRY_DESK, PositionEnded(position=_over(scene)))
    scene.wait(lambda: not scene.owned(), "the end")
    scene.stage.kill(messages.ENTRY_DESK)
    scene.stage.tell(messages.ENTRY_DESK, Reconciled(account="main"))
    scene.store(row)
    said = f"INFO GUARD idempotency_blocked signal_key={row['id']} existing_order_id={first['position_id']}"
    scene.wait(lambda: said in lines, said)
    assert scene.outcome(str(row["id"])) == first


def test_twin_by_key_is_refused_by_a_desk_that_was_restarted(scene: Scene, lines: list[str]) -> None:
    scene.desk()
    row = signal_row(fresh(), "BTCUSDT")
    scene.store(row)
    first = scene.outcome(str(row["id"]))
    scene.stage.tell(messages.ENTRY_DESK, PositionEnded(position=_over(scene)))
    scene.wait(lambda: not scene.owned(), "the end")
    scene.stage.kill(messages.ENTRY_DESK)
    scene.stage.tell(messages.ENTRY_DESK, Reconciled(account="main"))
    twin = {**row, "id": fresh(), "symbol": "BTC_USDT"}
    scene.store(twin)
    refused = scene.outcome(str(twin["id"]))
    assert refused["outcome"] == "duplicate_signal"
    assert refused["outcome_figures"]["existing_order_id"] == str(first["position_id"])
    key = refused["outcome_figures"]["signal_key"]
    assert key.startswith("BTCUSDT:BUY:")
    said = f"INFO GUARD idempotency_blocked signal_key={key} existing_order_id={first['position_id']}"
    assert any(line.startswith(said) for line in lines)


def test_twin_is_known_before_the_database_knows(scene: Scene) -> None:
    """The first one opened and failed at once, and its record waits in the journal still."""
    scene.desk(journal=False, rules={"cooldown_s": 0})
    row = signal_row(fresh(), "BTCUSDT")
    twin = {**row, "id": fresh()}
    scene.add_rows(row, twin)
    scene.stage.tell(messages.ENTRY_DESK, SignalsStored(signals=(as_signal(row),)))
    scene.wait(scene.owned, "a position")
    scene.stage.tell(messages.ENTRY_DESK, PositionEnded(position=_over(scene)))
    scene.stage.tell(messages.ENTRY_DESK, SignalsStored(signals=(as_signal(row), as_signal(twin))))
    answer = scene.heard[messages.JOURNAL].wait(
        Write, lambda w: any(o.signal_id == twin["id"] for o in w.record.outcomes)
    )
    assert [o.outcome for o in answer.record.outcomes] == ["duplicate_signal"]
    assert len(started(scene)) == 1


def _over(scene: Scene) -> Any:
    from dataclasses import replace

    (position,) = scene.owned()
    return replace(position, phase=Phase.FAILED, closed_at=datetime.now(UTC) - timedelta(hours=1))


# Nothing is lost.


def test_stored_but_never_told_is_taken_up_after_a_restart(scene: Scene) -> None:
    """The process died between the commit and the telling."""
    scene.desk()
    good, old = fresh(), fresh()
    scene.store(signal_row(good, "BTCUSDT"), signal_row(old, "ETHUSDT", age_s=10_000), tell=False)
    scene.wait(lambda: scene.reader.signal(old), "the signals in the database")
    scene.stage.kill(messages.ENTRY_DESK)
    scene.stage.tell(messages.ENTRY_DESK, Reconciled(account="main"))
    assert scene.outcome(good)["outcome"] == "opened"
    assert scene.outcome(old)["outcome"] == "stale_signal"


def test_no_restart_is_needed_for_what_the_desk_never_heard_of(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry_desk, "LOOK_EVERY_S", 0.2)
    scene.desk()
    name = fresh()
    scene.store(signal_row(name, "BTCUSDT"), tell=False)
    assert scene.outcome(name)["outcome"] == "opened"


def test_waits_for_the_first_reading_of_the_account(scene: Scene) -> None:
    scene.desk(read=False)
    scene.prices()
    scene.heard[messages.reconciler("main")].wait(ReconcileNow)
    name = fresh()
    scene.store(signal_row(name, "BTCUSDT"))
    scene.wait(lambda: scene.reader.signal(name), "the signal in the database")
    refused = scene.by_hand()
    assert (refused.code, refused.figures) == ("not_yet", {"reason": "the account has not been read yet"})
    row = scene.reader.signal(name)
    assert row is not None
    assert not row["is_processed"]
    scene.stage.tell(messages.ENTRY_DESK, Reconciled(account="main"))
    assert scene.outcome(name)["outcome"] == "opened"


def opens_when_the_account_is_heard(scene: Scene, standing: Standing) -> None:
    """A signal that comes while the stream is away is left unanswered, and opens once the account is heard and read."""
    name = fresh()
    scene.store(signal_row(name, "BTCUSDT"))
    scene.wait(lambda: scene.reader.signal(name), "the signal in the database")
    assert scene.by_hand().code == "entries_closed"
    row = scene.reader.signal(name)
    assert row is not None
    assert not row["is_processed"]
    at = scene.stage.clock.now()
    standing.stream_connected(at)
    standing.seen(AccountSnapshot(account="main", asked_at=at, answered_at=at, positions=(), orders=()), ())
    assert scene.outcome(name)["outcome"] == "opened"


def test_waits_until_the_account_is_heard_shortly_after_a_start(scene: Scene) -> None:
    """A restart must not decide by who is quicker, the signal or the account's stream."""
    standing = Standing()
    standing.stream_lost("not connected yet")
    scene.desk(accounts={"main": {"standing": standing}})
    opens_when_the_account_is_heard(scene, standing)


def test_a_stream_that_has_just_broken_means_later_and_one_that_stays_away_no(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that comes back brings missed signals while the account is still unread."""
    monkeypatch.setattr(wave_desk, "PRICES_KNOWN_AFTER_S", 0.0)
    standing = Standing()
    scene.desk(accounts={"main": {"standing": standing}})
    standing.stream_lost("closed by the venue")
    opens_when_the_account_is_heard(scene, standing)

    monkeypatch.setattr(wave_desk, "BLIND_FOR_S", 0.0)
    standing.stream_lost("closed by the venue")
    late = fresh()
    scene.store(signal_row(late, "ETHUSDT"))
    assert scene.outcome(late)["outcome"] == "entries_closed"


def test_database_away_means_later_not_no(scene: Scene) -> None:
    scene.desk()
    scene.database_away()
    name, stale = fresh(), fresh()
    scene.store(signal_row(name, "BTCUSDT"), signal_row(stale, "ETHUSDT", age_s=9_000))
    scene.wait(lambda: scene.spool.count, "the signals in the spool")
    refused = scene.by_hand()
    assert refused.code == "entries_closed"
    assert "database" in str(refused.figures["reason"])
    assert scene.owned() == ()
    scene.database_back()
    assert scene.outcome(name)["outcome"] == "opened"
    assert scene.outcome(stale)["outcome"] == "stale_signal"
    assert len(scene.owned()) == 1


def test_a_reader_that_failed_for_a_moment_does_not_close_entries_for_good(scene: Scene) -> None:
    """The journal never lost the database, so nobody tells the desk that it is back."""
    scene.desk(journal=False)
    name = fresh()
    scene.add_rows(signal_row(name, "BTCUSDT"))
    scene.database_away()
    scene.stage.tell(messages.ENTRY_DESK, SignalsStored(signals=(as_signal(signal_row(name, "BTCUSDT")),)))
    scene.wait(lambda: "database" in str(scene.entries()), "entries to close")
    scene.database_back()
    scene.wait(scene.owned, "the position")


# Close.


def test_close_reaches_an_owner_that_lives_later(scene: Scene) -> None:
    """A position that was opened an instant ago has no actor yet: the close waits for it, and so does the answer."""
    scene.desk()
    opening, closing = fresh(), fresh()
    scene.store(signal_row(opening, "BTCUSDT"))
    position_id = scene.outcome(opening)["position_id"]
    scene.store(signal_row(closing, "BTCUSDT", "CLOSE"))
    scene.wait(lambda: scene.reader.signal(closing), "the signal in the database")
    owner = Heard()
    scene.stage.add(messages.position(position_id), lambda context: Ear.start(context, owner))
    assert owner.wait(CloseWanted).reason is CloseReason.SIGNAL
    row = scene.reader.signal(closing)
    assert row is not None
    assert not row["is_processed"]
    scene.change(position_id, close_wanted=CloseReason.SIGNAL)
    answered = scene.outcome(closing)
    assert (answered["outcome"], answered["position_id"]) == ("closing", position_id)
    assert len(owner.of(CloseWanted)) == 1


def test_close_that_was_not_heard_before_the_desk_died_is_asked_for_again(scene: Scene) -> None:
    scene.desk()
    opening, closing = fresh(), fresh()
    scene.store(signal_row(opening, "BTCUSDT"))
    position_id = scene.outcome(opening)["position_id"]
    scene.store(signal_row(closing, "BTCUSDT", "CLOSE"))
    scene.wait(lambda: scene.reader.signal(closing), "the signal in the database")
    scene.stage.kill(messages.ENTRY_DESK)
    scene.stage.tell(messages.ENTRY_DESK, Reconciled(account="main"))
    owner = Heard()
    scene.stage.add(messages.position(position_id), lambda context: Ear.start(context, owner))
    owner.wait(CloseWanted)


def test_close_is_stale_or_doubled_like_any_signal(scene: Scene) -> None:
    scene.desk()
    opening, old, first, twin = fresh(), fresh(), fresh(), fresh()
    scene.store(signal_row(opening, "BTCUSDT"))
    position_id = scene.outcome(opening)["position_id"]
    owner = Heard()
    scene.stage.add(messages.position(position_id), lambda context: Ear.start(context, owner))
    scene.store(signal_row(old, "BTCUSDT", "CLOSE", age_s=700))
    assert scene.outcome(old)["outcome"] == "stale_signal"
    assert owner.of(CloseWanted) == []
    row = signal_row(first, "BTCUSDT", "CLOSE")
    scene.store(row)
    owner.wait(CloseWanted)
    scene.change(position_id, close_wanted=CloseReason.SIGNAL)
    scene.outcome(first)
    scene.stage.kill(messages.ENTRY_DESK)
    scene.stage.tell(messages.ENTRY_DESK, Reconciled(account="main"))
    scene.store({**row, "id": twin})
    doubled = scene.outcome(twin)
    assert (doubled["outcome"], doubled["outcome_figures"]["existing_order_id"]) == (
        "duplicate_signal",
        str(position_id),
    )


def test_a_closes_twin_in_another_spelling_does_not_close_what_was_opened_since(scene: Scene) -> None:
    scene.desk(rules={"cooldown_s": 0})
    opening, first, again, twin = fresh(), fresh(), fresh(), fresh()
    scene.store(signal_row(opening, "BTCUSDT"))
    scene.outcome(opening)
    row = signal_row(first, "BTCUSDT", "CLOSE")
    scene.store(row)
    (position,) = scene.owned()
    scene.change(position.id, close_wanted=CloseReason.SIGNAL)
    scene.outcome(first)
    scene.stage.tell(messages.ENTRY_DESK, PositionEnded(position=_over(scene)))
    scene.wait(lambda: not scene.owned(), "the end")
    scene.stage.kill(messages.ENTRY_DESK)
    scene.stage.tell(messages.ENTRY_DESK, Reconciled(account="main"))
    scene.store(signal_row(again, "BTCUSDT", "SELL", wave="the next"))
    assert scene.outcome(again)["outcome"] == "opened"
    scene.store({**row, "id": twin, "symbol": "btc/usdt:usdt"})
    answered = scene.outcome(twin)
    assert (answered["outcome"], answered["outcome_figures"]["existing_order_id"]) == (
        "duplicate_signal",
        str(position.id),
    )


# A desk that was replaced, a clock that was set.


def test_a_desk_that_was_replaced_in_the_middle_leaves_no_place_behind(scene: Scene) -> None:
    """It hung while it decided: its successor finds the place free and the signal unanswered, and opens once."""
    scene.desk()
    name = fresh()
    scene.stage.directory.next_incarnation(messages.ENTRY_DESK)  # as the supervisor does when it gives one up
    scene.store(signal_row(name, "BTCUSDT"))
    scene.stage.risen(messages.ENTRY_DESK, above=2)
    scene.stage.tell(messages.ENTRY_DESK, Reconciled(account="main"))
    answered = scene.outcome(name)
    assert answered["outcome"] == "opened"
    assert [p.id for p in scene.owned()] == [answered["position_id"]]
    assert [start.spec.name for start in started(scene)] == [messages.position(answered["position_id"])]


class SteppedClock(SystemClock):
    """Somebody sets the wall clock."""

    step = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.step


@pytest.mark.parametrize("step_s", [-10, 10])
def test_a_wave_collects_for_its_time_whatever_the_wall_clock_does(scene: Scene, step_s: int) -> None:
    scene.stage.clock.stop()
    scene.stage.clock = clock = SteppedClock()
    clock.start()
    window_s = 2.5  # long enough for both to come within it on a slow machine, far from what the step would make it
    scene.desk(waves=WaveRules(window_s=window_s, places=1))
    worse, better = fresh(), fresh()
    began = clock.monotonic()
    scene.store(signal_row(worse, "BTCUSDT", wave="w", score_week=1))
    scene.wait(lambda: scene.reader.signal(worse), "the signal in the database")
    clock.step = timedelta(seconds=step_s)
    scene.store(signal_row(better, "ETHUSDT", wave="w", score_week=2))
    assert scene.outcome(better)["outcome"] == "opened"
    assert window_s <= clock.monotonic() - began < window_s + abs(step_s)


def test_dry_run_opens_nothing_and_writes_the_decision(scene: Scene, rows: Query) -> None:
    scene.desk(dry_run=True)
    name = fresh()
    scene.store(signal_row(name, "BTCUSDT"))
    row = scene.outcome(name)
    assert (row["outcome"], row["outcome_figures"]["quantity"], row["position_id"]) == ("dry_run", "0.005", None)
    assert scene.by_hand("ETHUSDT").code == "dry_run"
    assert scene.owned() == ()
    assert started(scene) == []
    assert rows.one(NOT_OPENED)["n"] == 0
    scene.wait(
        lambda: rows("SELECT 1 FROM monitoring.events WHERE event_type = 'operator_command'"), "the operator's decision"
    )
