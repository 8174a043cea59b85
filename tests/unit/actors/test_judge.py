"""The judge over owners' states and marks: what it tells whom, and when it says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from actors import messages
from actors.clock import Callback
from actors.directory import Directory
from actors.guard import ActorContext, GuardedActor
from actors.healths import Healths
from actors.judge import JUDGE, Judge, Wiring
from actors.marks import Mark, Marks
from actors.messages import Tick
from actors.owners import Owners
from actors.refs import guarded
from config.in_force import SettingsInForce
from config.settings import Settings
from domain.judgement.aging import AgingRules
from domain.judgement.levels import Risk, RiskAction, RiskLevel
from domain.position.inputs import AgingChanged, RiskHeard
from domain.position.state import CloseReason
from tests.unit.actors.specimens import WAIT_S
from tests.unit.domain.conversation import protected
from tests.unit.domain.samples import D


@dataclass(slots=True)
class _Unset:
    def cancel(self) -> None:
        """Nothing was set."""


class StillClock:
    """Time passes when a test says so; no timer fires."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 21, tzinfo=UTC)
        self.passed = 1_000.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.passed

    def call_at(self, at: datetime, callback: Callback) -> _Unset:
        return _Unset()

    def call_after(self, seconds: float, callback: Callback) -> _Unset:
        return _Unset()

    def wait(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.passed += seconds


class Ear(GuardedActor):
    """In the owner's place."""

    def __init__(self, context: ActorContext) -> None:
        super().__init__(context)
        self.heard: list[object] = []

    def receive(self, message: Any) -> object:
        if isinstance(message, Tick):
            return list(self.heard)
        self.heard.append(message)
        return None


def settings(**sections: Any) -> Settings:
    return Settings.model_validate({"accounts": {"main": {"exchange": "binanceusdm"}}, **sections})


class Bench:
    """A judge that looks when told to, and the ear of one long position at 60,000."""

    def __init__(self) -> None:
        self.clock, self.directory = StillClock(), Directory()
        self.in_force = SettingsInForce(settings())
        self.owners, self.marks, self.healths = Owners(), Marks(), Healths()
        talk, _ = protected()
        self.p = talk.position.changed(opened_at=self.clock.at)
        self.owners.claim(self.owners.place_of(self.p), self.p)
        self._ear = self._start(Ear, messages.position(self.p.id))
        wiring = Wiring(in_force=self.in_force, owners=self.owners, marks=self.marks, healths=self.healths)
        self._judge = self._start(Judge, JUDGE, wiring)

    def _start(self, actor: type[GuardedActor], name: str, *wiring: object) -> Any:
        context = ActorContext(
            name=name,
            incarnation=self.directory.next_incarnation(name),
            directory=self.directory,
            clock=self.clock,
            report_down=lambda _: None,
            chaos=False,
        )
        ref = guarded(actor.start(context, *wiring))
        self.directory.bind(name, ref, context.incarnation)
        return ref

    def stop(self) -> None:
        self._judge.stop()
        self._ear.stop()

    def become(self, **facts: Any) -> None:
        """The owner has handed another state over."""
        self.p = self.p.changed(version=self.p.version + 1, **facts)
        assert self.owners.handed_over(self.p)

    def look(self, price: Decimal | int | None = None, *, after: float = 5.0) -> list[Any]:
        """Some time later the judge looks, a newer price having come or not; returns what the owner was told."""
        self.clock.wait(after)
        if price is not None:
            self.marks.put("main", self.p.symbol, Mark(price=D(price), at=self.clock.at, heard_at=self.clock.at))
        self._judge.ask(Tick(), timeout=WAIT_S)
        before, self._heard = getattr(self, "_heard", []), self._ear.ask(Tick(), timeout=WAIT_S)
        told: list[Any] = self._heard[len(before) :]
        return told


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.stop()


def test_a_sound_position_is_scored_and_nobody_is_told(bench: Bench) -> None:
    assert bench.look(60_100) == []
    health = bench.healths.get(bench.p.id)
    assert health is not None
    assert (health.level, health.score < 5) == (RiskLevel.LOW, True)


def test_a_level_is_told_with_what_is_set_for_it_until_the_owner_has_taken_it(bench: Bench) -> None:
    bench.in_force.replace(settings(health={"on_medium": "tighten", "tighten_pct": "30", "cooldown_s": 7}))
    bench.look(60_000)
    (heard,) = bench.look(58_900)
    assert isinstance(heard, RiskHeard)
    assert (heard.level, heard.action, heard.tighten_pct, heard.cooldown_s, heard.stale) == (
        RiskLevel.MEDIUM, RiskAction.TIGHTEN, D(30), 7, False,
    )  # fmt: skip
    assert dict(heard.dangers)["stop"] > 90
    assert len(bench.look(58_900)) == 1, "the owner was away: it is told again"
    bench.become(risk=Risk(level=RiskLevel.MEDIUM, at=bench.clock.at))
    assert bench.look(58_900) == []


def test_silence_is_counted_by_a_clock_that_nobody_steps(bench: Bench) -> None:
    bench.look(60_000)
    bench.clock.at += timedelta(hours=5)
    bench.look()
    health = bench.healths.get(bench.p.id)
    assert health is not None
    assert health.dangers.price == pytest.approx(D(5) * 100 / 60)
    heard = [each for _ in range(14) for each in bench.look()]
    assert heard
    assert all(each.stale for each in heard)


def test_a_look_that_comes_late_judges_nobody(bench: Bench) -> None:
    bench.look(60_000)
    assert bench.look(after=300.0) == [], "the process stood still: the prices are only unread"
    assert bench.look(60_000) == []


def test_what_was_withheld_is_told_again_with_a_fresh_price(bench: Bench) -> None:
    bench.become(risk=Risk(level=RiskLevel.MEDIUM, at=bench.clock.at, withheld=True))
    (heard,) = bench.look(58_900)
    assert (heard.level, heard.stale) == (RiskLevel.MEDIUM, False)


@pytest.mark.parametrize("facts", [{"close_wanted": CloseReason.OPERATOR}])
def test_who_is_being_closed_is_judged_no_more(bench: Bench, facts: dict[str, Any]) -> None:
    bench.look(60_000)
    bench.become(**facts)
    assert bench.look(58_810) == []
    assert bench.healths.get(bench.p.id) is None


def test_switched_off_it_scores_nobody_and_still_tells_the_rules_of_age(bench: Bench) -> None:
    bench.in_force.replace(settings(health={"enabled": False}, aging={"max_age_hours": 2, "step_hours": 0.5}))
    (heard,) = bench.look(58_810)
    rules = AgingRules(max_age_s=7200, step_s=1800, step_pct=D("0.5"), max_loss_pct=D(2), fee_pct=D("0.05"))
    assert heard == AgingChanged(rules=rules)
    bench.become(aging=rules)
    assert bench.look(58_810) == []
    bench.in_force.replace(settings())
    assert bench.look(60_000) == [AgingChanged(rules=None)]


def test_adopted_positions_age_as_set(bench: Bench) -> None:
    bench.become(adopted=True)
    bench.in_force.replace(settings(aging={"max_age_hours": 2}))
    assert bench.look(60_000) == []
    bench.in_force.replace(settings(aging={"max_age_hours": 2, "adopted": True}))
    assert [type(each) for each in bench.look(60_000)] == [AgingChanged]


def test_the_best_price_is_remembered(bench: Bench) -> None:
    bench.look(60_900)
    bench.look(60_000)
    health = bench.healths.get(bench.p.id)
    assert health is not None
    assert health.dangers.drawdown == 50
