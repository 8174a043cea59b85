"""A reload at the worst moments of an owner's birth and rebirth: it takes over what became tighter all the same.

How one would notice it broken: a position goes on by rules that are no longer set, and nothing says so. The desk is
real, and so are the owners; its supervisor is an ear, so that a test says when an owner starts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from actors import messages
from actors.core_values import terms_of
from actors.messages import Show
from actors.reloading import Reloading
from actors.supervision import ChildSpec, StartChild
from config.in_force import SettingsInForce
from config.settings import Settings
from domain.entries.terms import Terms
from domain.identity import PositionId
from domain.position.state import Position
from tests.actors.desk.scene import Scene
from tests.actors.order_path.stage import until

D = Decimal


def settings_with(stop_pct: str) -> Settings:
    return Settings.model_validate(
        {"accounts": {"main": {"exchange": "binanceusdm"}}, "protection": {"stop_pct": D(stop_pct)}}
    )


class Reloads:
    """The settings of a scene, and a reload of them; `on_terms` happens when the desk has just read its terms."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.in_force = SettingsInForce(settings_with("2"))
        self.on_terms: Callable[[], None] | None = None
        scene.desk()
        scene.heard[messages.market_feed("main")] = scene.stage.ear(messages.market_feed("main"))
        object.__setattr__(scene.wiring, "terms", self.terms)

    def terms(self, _account: str, _symbol: str) -> Terms:
        found = terms_of(self.in_force.now, "main")
        if self.on_terms is not None:
            happens, self.on_terms = self.on_terms, None
            happens()
        return replace(found, rules=self.scene.terms["main"].rules)

    def reload(self, stop_pct: str) -> None:
        stage = self.scene.stage
        reloading = Reloading(
            self.in_force,
            load=lambda: settings_with(stop_pct),
            terms=lambda settings, account, _symbol: terms_of(settings, account),
            set_log_level=lambda _log: None,
            owners=stage.owners,
            directory=stage.directory,
            tell=lambda _event, _data: None,
        )
        reloading.reload("a test")

    def open(self) -> tuple[Position, ChildSpec]:
        """A position that the desk has opened, and its owner, which has not started yet."""
        position = self.scene.by_hand()
        assert isinstance(position, Position), position
        return position, self.scene.heard[messages.positions("main")].wait(StartChild).spec

    def start(self, spec: ChildSpec) -> None:
        assert self.scene.stage.directory.ask("root", StartChild(spec=spec), 30)

    def stop_pct(self, position_id: PositionId) -> Decimal | None:
        state = self.scene.stage.owners.state(position_id)
        return None if state is None else state.plan.protection.stop_pct

    def tightened(self, position_id: PositionId, stop_pct: str) -> None:
        until(lambda: self.stop_pct(position_id) == D(stop_pct), what=f"a stop at {stop_pct} %")


@pytest.fixture
def reloads(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Reloads:
    monkeypatch.setattr("actors.reloading.SETTLES_S", 0)
    return Reloads(scene)


def test_between_the_terms_and_the_claim(reloads: Reloads) -> None:
    """The desk has decided by the old settings, and nobody owns anything yet: the reload finds nobody to tell."""
    reloads.on_terms = lambda: reloads.reload("1")
    position, spec = reloads.open()
    assert position.plan.protection.stop_pct == 2
    reloads.start(spec)
    reloads.tightened(position.id, "1")


def test_between_the_claim_and_the_start_of_the_owner(reloads: Reloads) -> None:
    """It is in the table, and what it is told is a dead letter: no actor has its name yet."""
    position, spec = reloads.open()
    reloads.reload("1")
    reloads.start(spec)
    reloads.tightened(position.id, "1")


def test_between_the_start_of_the_owner_and_its_name(reloads: Reloads) -> None:
    """It has looked for news and found none, and cannot be told: it finds them behind its first message."""
    position, spec = reloads.open()
    begun = threading.Event()
    reloads.scene.stage.owners.onlookers.append(lambda _: begun.set())

    def factory(context: Any) -> Any:
        ref: Any = spec.factory(context)
        assert begun.wait(30)
        assert ref.vitals.settled.wait(30)
        reloads.reload("1")
        return ref

    reloads.start(replace(spec, factory=factory))
    reloads.scene.stage.ask(messages.position(position.id), Show())
    reloads.tightened(position.id, "1")


def test_one_after_the_other_each_is_heard(reloads: Reloads) -> None:
    """What was tighter in between stays taken over: a stop is never loosened."""
    position, spec = reloads.open()
    reloads.reload("1")
    reloads.reload("3")
    reloads.start(spec)
    reloads.tightened(position.id, "1")
    reloads.reload("0.5")
    reloads.tightened(position.id, "0.5")


def test_a_successor_takes_none_over_twice(reloads: Reloads) -> None:
    """Else it would undo what an operator set for the position since."""
    position, spec = reloads.open()
    name, stage = messages.position(position.id), reloads.scene.stage
    reloads.start(spec)
    reloads.reload("1")
    reloads.tightened(position.id, "1")
    changes = stage.owners.rule_changes
    until(lambda: changes.news(position) == [], what="the owner to have taken it over")
    stage.kill(name)
    assert changes.news(position) == []
    reloads.reload("0.9")
    reloads.tightened(position.id, "0.9")
    until(lambda: changes.news(position) == [], what="its successor to have taken the next over")
    stage.owners.release(stage.owners.place_of(position), position.id)
    reloads.reload("0.8")
    assert changes.news(position) == [], "its life is over"
