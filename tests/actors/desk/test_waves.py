"""Waves at the desk: the best of a candle's signals enter, the others fill in or are told that they are not needed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from actors import messages
from actors.control.stories import signal_story, why
from actors.messages import PositionEnded, Reconciled, SignalsStored, Write
from domain.entries.checks import CHECKS
from domain.entries.waves import WaveRules
from domain.position.inputs import CloseWanted
from domain.position.state import CloseReason, Phase, Position
from domain.records import SignalOutcome
from tests.actors.desk.scene import Scene, as_signal
from tests.actors.order_path.stage import Ear, Heard
from tests.end_to_end.signal_source import signal_row
from tests.persistence.conftest import Query

SUMMARIES = "SELECT event_data FROM monitoring.events WHERE event_type = 'wave_finished' ORDER BY id"
SYMBOLS = ("ETHUSDT", "PEPEUSDT", "1000PEPEUSDT")


def of_wave(name: str, symbol: str, week: float, wave: str | None = "w", **more: Any) -> dict[str, object]:
    return {**signal_row(name, symbol), "score_week": week, "score_month": 1, "wave": wave, **more}


def on(scene: Scene, *, places: int, window_s: float = 0.3, **more: Any) -> Scene:
    return scene.desk(waves=WaveRules(window_s=window_s, places=places), **more)


def filled(scene: Scene) -> None:
    """Their owners say that every entry was filled."""
    for p in scene.owned():
        scene.change(p.id, phase=Phase.ACTIVE)


def answers(scene: Scene, *names: str) -> dict[str, str]:
    return {name: scene.outcome(name)["outcome"] for name in names}


def failed(scene: Scene, position: Position) -> None:
    """The venue refused the entry: its owner writes that down, then tells that its life is over."""
    now = datetime.now(UTC)
    over = replace(position, phase=Phase.FAILED, closed_at=now, version=position.version + 1)
    scene.stage.tell(messages.JOURNAL, Write(record=scene.stage.recorder.record(now, position=over)))
    scene.stage.tell(messages.ENTRY_DESK, PositionEnded(position=over))


def summary(scene: Scene, rows: Query, count: int = 1) -> Any:
    scene.wait(lambda: len(rows(SUMMARIES)) >= count, f"{count} summaries")
    return rows(SUMMARIES)[count - 1]["event_data"]


def test_the_best_of_a_wave_enter_and_the_others_are_told(scene: Scene, rows: Query, lines: list[str]) -> None:
    on(scene, places=2)
    scene.store(
        of_wave("third", "PEPEUSDT", 70),
        of_wave("first", "ETHUSDT", 90),
        of_wave("nowhere", "NOSUCHUSDT", 99),
        of_wave("second", "BTCUSDT", 80),
    )
    assert answers(scene, "nowhere", "first", "second") == {
        "nowhere": "unknown_symbol",
        "first": "opened",
        "second": "opened",
    }
    row = scene.reader.signal("third")
    assert row is not None
    assert not row["is_processed"], "as long as an entry may fail it may be needed"
    filled(scene)
    third = scene.outcome("third")
    assert (third["outcome"], third["outcome_figures"]) == ("not_needed", {"places": 2})
    assert (third["wave_account"], third["wave_name"], third["wave_rank"], third["wave_size"]) == ("main", "w", 4, 4)
    assert sorted(p.symbol for p in scene.owned()) == ["BTCUSDT", "ETHUSDT"]
    assert summary(scene, rows) == {
        "wave": "w",
        "received": 4,
        "valid": 3,
        "opened": 2,
        "failed": 0,
        "not_needed": 1,
        "refused": {"unknown_symbol": 1},
    }
    assert "INFO GUARD wave_passed symbol=ETHUSDT wave=w rank=2 of=4" in lines
    assert "INFO GUARD wave_blocked symbol=PEPEUSDT wave=w rank=4 of=4 code=not_needed" in lines


def test_a_wave_collects_before_it_decides(scene: Scene) -> None:
    """The first to come is not the first to enter."""
    on(scene, places=1, window_s=1.0)
    scene.store(of_wave("worse", "ETHUSDT", 10))
    scene.store(of_wave("better", "BTCUSDT", 20))
    assert scene.outcome("better")["outcome"] == "opened"
    filled(scene)
    assert scene.outcome("worse")["outcome"] == "not_needed"


def test_a_spare_fills_in_for_an_entry_that_the_venue_refuses(scene: Scene, rows: Query) -> None:
    on(scene, places=1)
    scene.store(of_wave("best", "ETHUSDT", 90), of_wave("spare", "BTCUSDT", 80))
    scene.outcome("best")
    (entry,) = scene.owned()
    failed(scene, entry)
    assert scene.outcome("spare")["outcome"] == "opened"
    told = summary(scene, rows)
    assert (told["opened"], told["failed"]) == (2, 1)


def test_two_of_one_base_currency_never_enter_in_one_wave(scene: Scene) -> None:
    on(scene, places=3, rules={"cooldown_s": 0})
    scene.store(of_wave("usdt", "BTCUSDT", 90), of_wave("busd", "BTCBUSD", 80), of_wave("eth", "ETHUSDT", 70))
    assert answers(scene, "usdt", "busd", "eth") == {"usdt": "opened", "busd": "base_in_wave", "eth": "opened"}
    assert scene.outcome("busd")["outcome_figures"]["base"] == "BTC"


def test_cooldown_holds_within_a_wave(scene: Scene) -> None:
    on(scene, places=3)
    scene.store(of_wave("usdt", "BTCUSDT", 90), of_wave("busd", "BTCBUSD", 80))
    assert answers(scene, "usdt", "busd") == {"usdt": "opened", "busd": "cooldown"}


def test_a_close_waits_for_no_wave(scene: Scene) -> None:
    on(scene, places=1, window_s=0)
    scene.store(signal_row("open", "BTCUSDT"))
    position_id = scene.outcome("open")["position_id"]
    owner = Heard()
    scene.stage.add(messages.position(position_id), lambda context: Ear.start(context, owner))
    scene.store({**signal_row("close", "BTCUSDT", "CLOSE"), "wave": "w"})
    assert owner.wait(CloseWanted).reason is CloseReason.SIGNAL


def test_what_a_close_finds_waiting_in_its_wave_is_not_opened_after_it(scene: Scene) -> None:
    """The source said buy, then close; the close met no position yet, and the buy entered when its wave was ripe."""
    on(scene, places=3, window_s=2.0, rules={"cooldown_s": 0})
    at = {minutes: (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat() for minutes in (1, 2)}
    scene.store(  # in one record: no wave is over between two of them
        of_wave("buy", "BTCUSDT", 90, created_at=at[1]),
        of_wave("other", "ETHUSDT", 80, created_at=at[1]),
        of_wave("close", "BTC/USDT:USDT", 0, action="CLOSE", created_at=at[1]),
        of_wave("late", "ETHUSDT", 0, action="CLOSE", created_at=at[2]),
        of_wave("again", "BTCUSDT", 70, created_at=at[1]),
    )
    told = answers(scene, "buy", "other", "close", "late", "again")
    ends = {"close": "no_position", "late": "no_position"}
    assert told == {"buy": "closed_since", "other": "opened", "again": "opened", **ends}
    assert scene.outcome("buy")["outcome_figures"] == {"symbol": "BTCUSDT", "signal": "close"}


def test_waves_of_two_accounts_and_two_names_are_apart(scene: Scene) -> None:
    on(scene, places=1, accounts={"main": {}, "second": {}})
    scene.store(
        of_wave("m", "BTCUSDT", 1, account="main"),
        of_wave("s", "BTCUSDT", 1, account="second"),
        of_wave("other", "ETHUSDT", 1, account="main", wave="x"),
        of_wave("none", "PEPEUSDT", 1, account="main", wave=None),
    )
    assert set(answers(scene, "m", "s", "other", "none").values()) == {"opened"}
    named = scene.outcome("none")
    assert named["wave_name"] == f"{named['created_at']:%Y-%m-%dT%H:%M}"


def test_the_story_of_a_signal_tells_each_check_with_its_figures(scene: Scene) -> None:
    on(scene, places=2)
    scene.store(of_wave("taken", "BTCUSDT", 90), of_wave("twin", "BTCBUSD", 80))
    taken, twin = scene.outcome("taken"), scene.outcome("twin")
    made = {check["check"]: check for check in taken["checks"]}
    assert list(made) == [*(name for name, _ in CHECKS), "wave"], "in the order in which they were made"
    assert {check["result"] for check in taken["checks"]} == {"passed"}
    assert made["price"]["mark_price"] == "50000"
    assert made["sizing"]["quantity"] == "0.005"
    assert (made["max_positions"]["open_positions"], made["wave"]["rank"]) == (0, 1)
    last = twin["checks"][-1]
    assert (last["check"], last["result"], last["code"], last["base"]) == ("cooldown", "blocked", "cooldown", "BTC")
    assert last["seconds_remaining"] > 290
    story = signal_story(taken, scene.reader.position(taken["position_id"]))
    assert str(story["why"]).startswith("opened a position (")
    assert "quantity 0.005" in str(story["why"])
    assert why(twin).startswith("refused: cooldown (")
    assert isinstance(story["position"], dict)
    assert story["position"]["status"] == "pending_entry"


# Restarts.


def restarted(scene: Scene) -> None:
    scene.stage.kill(messages.ENTRY_DESK)
    scene.stage.tell(messages.ENTRY_DESK, Reconciled(account="main"))


def test_half_a_wave_goes_on_after_a_restart_and_not_beyond_its_places(scene: Scene, rows: Query) -> None:
    on(scene, places=2)
    scene.store(
        of_wave("a", "ETHUSDT", 90),
        of_wave("b", "BTCUSDT", 80),
        of_wave("c", "PEPEUSDT", 70),
        of_wave("x", "NOSUCHUSDT", 95),
    )
    answers(scene, "a", "b", "x")
    restarted(scene)
    filled(scene)
    assert scene.outcome("c")["outcome"] == "not_needed"
    assert len(scene.owned()) == 2
    told = summary(scene, rows)
    assert (told["received"], told["opened"], told["not_needed"], told["refused"]) == (4, 2, 1, {"unknown_symbol": 1})


def test_a_spare_still_moves_up_when_the_entry_fails_after_a_restart(scene: Scene) -> None:
    on(scene, places=1)
    scene.store(of_wave("best", "ETHUSDT", 90), of_wave("spare", "BTCUSDT", 80))
    scene.outcome("best")
    (entry,) = scene.owned()
    restarted(scene)
    scene.store(of_wave("another", "PEPEUSDT", 1, wave="other"))
    scene.outcome("another")  # so the desk has looked at what it found
    failed(scene, entry)
    assert scene.outcome("spare")["outcome"] == "opened"


def test_what_failed_before_the_restart_has_no_place(scene: Scene, rows: Query) -> None:
    on(scene, places=1)
    scene.store(of_wave("best", "ETHUSDT", 90), of_wave("spare", "BTCUSDT", 80))
    scene.outcome("best")
    (entry,) = scene.owned()
    scene.stage.kill(messages.ENTRY_DESK)
    failed(scene, entry)
    scene.wait(lambda: rows("SELECT 1 FROM monitoring.positions WHERE status = 'failed'"), "it in the book")
    scene.stage.tell(messages.ENTRY_DESK, Reconciled(account="main"))
    assert scene.outcome("spare")["outcome"] == "opened"
    assert summary(scene, rows)["failed"] == 1


def test_what_failed_before_its_wave_was_recalled_has_no_place_though_the_book_does_not_say_so_yet(
    scene: Scene, rows: Query
) -> None:
    """Found so by two machines and a kill: the journal was still to write the failure when the signals were read."""
    on(scene, places=1)
    scene.store(of_wave("best", "ETHUSDT", 90), of_wave("spare", "BTCUSDT", 80))
    scene.outcome("best")
    (entry,) = scene.owned()
    scene.stage.kill(messages.ENTRY_DESK)
    scene.stage.tell(messages.ENTRY_DESK, PositionEnded(position=replace(entry, phase=Phase.FAILED)))
    scene.stage.tell(messages.ENTRY_DESK, Reconciled(account="main"))
    assert scene.outcome("spare")["outcome"] == "opened"
    assert summary(scene, rows)["failed"] == 1


def test_an_entry_that_the_book_does_not_know_yet_has_its_place_all_the_same(scene: Scene) -> None:
    """The desk dies while the journal is still to write what it opened: its successor opens neither it nor one more."""
    on(scene, places=1, journal=False, window_s=0)
    best, spare = of_wave("best", "ETHUSDT", 90), of_wave("spare", "BTCUSDT", 80)
    scene.add_rows(best)
    scene.stage.tell(messages.ENTRY_DESK, SignalsStored(signals=(as_signal(best),)))
    scene.wait(scene.owned, "a position")
    restarted(scene)
    scene.add_rows(spare)
    filled(scene)
    scene.stage.tell(messages.ENTRY_DESK, SignalsStored(signals=(as_signal(best), as_signal(spare))))
    heard = scene.heard[messages.JOURNAL]
    told = heard.wait(Write, lambda w: any(o.signal_id == "spare" for o in w.record.outcomes))
    assert [o.outcome for o in told.record.outcomes] == ["not_needed"]
    assert len(scene.owned()) == 1
    twice = [o.outcome for w in heard.of(Write) for o in w.record.outcomes if o.signal_id == "best"]
    assert twice == ["opened"]


def test_the_first_answer_stands(scene: Scene, rows: Query) -> None:
    on(scene, places=1, window_s=0)
    scene.store(signal_row("once", "BTCUSDT"))
    first = scene.outcome("once")
    late = SignalOutcome(signal_id="once", outcome="duplicate_signal", at=datetime.now(UTC), figures={})
    scene.stage.tell(messages.JOURNAL, Write(record=scene.stage.recorder.record(datetime.now(UTC), outcomes=(late,))))
    scene.store(of_wave("after", "ETHUSDT", 1))
    scene.outcome("after")
    assert scene.outcome("once") == first


# Missed and late.


def test_a_wave_that_was_missed_is_worked_late_or_expires_by_its_age(scene: Scene, rows: Query) -> None:
    """What the server sends after a disconnect is no less a wave for being late."""
    on(scene, places=1)
    old = {"created_at": "2026-01-02T03:04:05Z"}
    scene.store(
        of_wave("late", "ETHUSDT", 1, created_at=signal_row("x", "BTCUSDT", age_s=300)["created_at"]),
        of_wave("better", "BTCUSDT", 2, created_at=signal_row("x", "BTCUSDT", age_s=300)["created_at"]),
        of_wave("expired", "PEPEUSDT", 3, **old),
    )
    assert answers(scene, "expired", "better") == {"expired": "stale_signal", "better": "opened"}
    filled(scene)
    assert scene.outcome("late")["outcome"] == "not_needed"
    assert summary(scene, rows)["refused"] == {"stale_signal": 1}


def test_a_straggler_finds_only_the_places_that_are_left(scene: Scene, rows: Query) -> None:
    on(scene, places=2)
    scene.store(of_wave("on-time", "ETHUSDT", 5))
    scene.outcome("on-time")
    filled(scene)
    summary(scene, rows)
    scene.store(of_wave("late", "BTCUSDT", 1), of_wave("later", "PEPEUSDT", 0))
    assert scene.outcome("late")["outcome"] == "opened"
    filled(scene)
    assert scene.outcome("later")["outcome"] == "not_needed"
    told = summary(scene, rows, 2)
    assert (told["received"], told["opened"], told["not_needed"]) == (3, 2, 1)


def test_the_database_away_in_the_middle_of_a_wave(scene: Scene) -> None:
    on(scene, places=1, window_s=3.0)
    scene.store(of_wave("a", "ETHUSDT", 1), of_wave("b", "BTCUSDT", 2))
    scene.wait(lambda: scene.reader.signal("b"), "both in the book")
    scene.database_away()
    scene.wait(lambda: "database" in str(scene.entries()), "entries to close")
    assert scene.owned() == ()
    scene.database_back()
    assert scene.outcome("b", 20)["outcome"] == "opened"
    filled(scene)
    assert scene.outcome("a", 20)["outcome"] == "not_needed"
