"""The kill switch's actor: what it remembers before it acts, whom it tells, and what a successor goes on with."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from actors import messages
from actors.kill_switch import KillSwitch, Wiring
from actors.marks import Marks
from actors.messages import Show, Write
from actors.standing import Standing
from actors.switch_memory import SWITCH_FACT, recall
from actors.switch_messages import (
    KILL_SWITCH,
    ArmSwitch,
    CloseAll,
    CloseStrangers,
    ConfirmSwitch,
    ResetSwitch,
    SwitchRefused,
)
from domain.catalogue import EventType
from domain.judgement.kill_switch import OFF, Cause, fired, to_row
from domain.judgement.losses import Limits
from domain.position.inputs import CloseWanted
from domain.position.state import CloseReason, Position
from tests.actors.order_path.stage import Heard, Stage, until
from tests.persistence.samples import protected


class Memory:
    """Stands where the local book is; it may refuse, and tells what else was known when it was told."""

    def __init__(self, watch: Callable[[], object] = lambda: None) -> None:
        self.facts: dict[str, Any] = {}
        self.full = False
        self.seen: list[object] = []
        self._watch = watch

    def keep(self, key: str, value: object) -> None:
        self.seen.append(self._watch())
        if self.full:
            raise OSError("no space left on device")
        self.facts[key] = value

    def fact(self, key: str) -> Any:
        return self.facts.get(key)


class NoReader:
    """A database that knows nothing."""

    def fact(self, key: str) -> Any:
        return None

    def realized(self, account: str, besides: list[int]) -> Decimal:
        return Decimal(0)


class Scene:
    """Two accounts, one position on each, ears for their owners."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.journal = stage.ear(messages.JOURNAL)
        self.readers = {name: stage.ear(messages.reconciler(name)) for name in ("main", "second")}
        self.owners: dict[int, Heard] = {}
        self.standings = {"main": Standing(), "second": Standing()}
        self.own(protected(1))
        self.own(protected(2, account="second"))
        self.memory = Memory(lambda: len(self.owners[1].messages))
        self.written: dict[str, int] = {}

    def own(self, position: Position) -> None:
        self.stage.owners.claim(self.stage.owners.place_of(position), position)
        self.owners[position.id] = self.stage.ear(messages.position(position.id))

    def begin(self, **changes: Any) -> Scene:
        wiring = Wiring(
            standings=self.standings,
            owners=self.stage.owners,
            book=self.memory,
            written=self.written,
            recorder=self.stage.recorder,
            marks=Marks(),
            reader=NoReader(),
            **{"dry_run": False, "limits": Limits, **changes},
        )
        self.stage.add(KILL_SWITCH, lambda context: KillSwitch.start(context, wiring))
        self.stage.start()
        return self

    def ask(self, wanted: object) -> Any:
        return self.stage.ask(KILL_SWITCH, wanted)

    def fire(self, account: str | None = None) -> Any:
        code = self.ask(ArmSwitch(account=account, reason="enough", uid=7))["code"]
        return self.ask(ConfirmSwitch(code=code, uid=7))

    def told(self, event: EventType) -> list[Any]:
        self.stage.worked_off(messages.JOURNAL)
        return [e for w in self.journal.of(Write) for e in w.record.events if e.type is event]


@pytest.fixture
def scene(stage: Stage) -> Scene:
    return Scene(stage)


def test_fired_it_closes_entries_remembers_then_tells_the_owners(scene: Scene) -> None:
    scene.begin()
    shown = scene.fire("main")
    assert shown["main"]["in_force"]
    assert "kill switch" in str(scene.standings["main"].closed_because)
    assert scene.standings["second"].kill_switch.reason is None
    assert scene.owners[1].wait(CloseWanted).reason is CloseReason.KILL_SWITCH
    assert scene.memory.seen == [0], "on the disk before any owner hears of it"
    fact = scene.memory.facts[SWITCH_FACT]
    written = scene.journal.wait(Write, lambda w: any(e.type is EventType.KILL_SWITCH_FIRED for e in w.record.events))
    assert (written.record.facts or {})[SWITCH_FACT] == fact
    assert [alert.type for alert in written.record.alerts] == ["kill_switch_fired"]
    assert not scene.owners[2].of(CloseWanted)


def test_nothing_fires_without_the_second_step(scene: Scene) -> None:
    scene.begin()
    for code in ("", "AAAAAA"):
        with pytest.raises(SwitchRefused, match="nothing is armed"):
            scene.ask(ConfirmSwitch(code=code, uid=7))
    code = scene.ask(ArmSwitch(account=None, reason="", uid=7))["code"]
    with pytest.raises(SwitchRefused, match="not the one"):
        scene.ask(ConfirmSwitch(code="AAAAAA", uid=7))
    newer = scene.ask(ArmSwitch(account=None, reason="", uid=7))["code"]
    with pytest.raises(SwitchRefused, match="not the one"):
        scene.ask(ConfirmSwitch(code=code, uid=7))
    assert not any(standing.kill_switch.in_force for standing in scene.standings.values())
    assert all(each["in_force"] for each in scene.ask(ConfirmSwitch(code=newer, uid=7)).values())
    with pytest.raises(SwitchRefused, match="nothing is armed"):
        scene.ask(ConfirmSwitch(code=newer, uid=7))


def test_a_position_that_began_in_the_same_moment_and_an_owner_without_an_ear_are_told_later(scene: Scene) -> None:
    scene.begin()
    unborn = protected(3)
    scene.stage.owners.claim(scene.stage.owners.place("main", "ETHUSDT", None), unborn)
    scene.fire("main")
    scene.owners[1].wait(CloseWanted)
    scene.owners[3] = scene.stage.ear(messages.position(unborn.id))
    assert scene.owners[3].wait(CloseWanted).reason is CloseReason.KILL_SWITCH


def test_flat_is_told_once(scene: Scene) -> None:
    scene.begin()
    scene.fire("main")
    scene.owners[1].wait(CloseWanted)
    scene.stage.owners.release(scene.stage.owners.place_of(protected(1)), protected(1).id)
    until(lambda: scene.told(EventType.KILL_SWITCH_FLAT), what="flat")
    scene.stage.kill(KILL_SWITCH)
    scene.ask(Show())
    assert len(scene.told(EventType.KILL_SWITCH_FLAT)) <= 2  # a successor cannot know that it was said


def test_a_successor_goes_on_and_a_restart_finds_the_newest_memory(scene: Scene) -> None:
    scene.begin()
    scene.fire()
    scene.owners[1].wait(CloseWanted)
    scene.owners[1].clear()
    scene.stage.kill(KILL_SWITCH)
    assert scene.ask(Show())["main"]["in_force"]
    scene.owners[1].wait(CloseWanted)
    old = scene.memory.facts[SWITCH_FACT]
    scene.ask(ResetSwitch(account="main", uid=8))
    new = scene.memory.facts[SWITCH_FACT]
    for written, kept, number in (([old], new, 1), ([new], old, 2), ([new], None, 2), ([None, "rubbish"], new, 0)):
        again = {"main": Standing(), "second": Standing()}
        assert recall(again, written, kept)["main"] == number
        assert [s.kill_switch.in_force for s in again.values()] == [False, True]
    damaged = {"main": Standing()}
    recall(damaged, [{"main": {"number": 9}}, old], None)
    assert damaged["main"].kill_switch.in_force, "what cannot be read hides no older word"


def test_an_event_that_a_kill_took_along_is_told_by_the_next_life_once(scene: Scene) -> None:
    fact = {"main": to_row(fired(OFF, Cause.OPERATOR, "uid 7", {"reason": "enough"}, scene.stage.clock.now()))}
    scene.written |= recall(scene.standings, [None], fact)
    scene.begin()
    until(lambda: scene.told(EventType.KILL_SWITCH_FIRED), what="the event")
    scene.stage.kill(KILL_SWITCH)
    scene.ask(Show())
    (event,) = scene.told(EventType.KILL_SWITCH_FIRED)
    assert (event.account, event.data["reason"], event.data["by"]) == ("main", "enough", "uid 7")


def test_reset_opens_entries_and_is_refused_where_nothing_is_in_force(scene: Scene) -> None:
    scene.begin()
    with pytest.raises(SwitchRefused, match="not in force"):
        scene.ask(ResetSwitch(account=None, uid=7))
    scene.fire()
    scene.ask(ResetSwitch(account=None, uid=7))
    assert [standing.kill_switch.reason for standing in scene.standings.values()] == [None, None]
    both = {"main", "second"}
    until(lambda: {event.account for event in scene.told(EventType.KILL_SWITCH_RESET)} == both, what="two events")


def test_a_full_disk_does_not_stop_it(scene: Scene) -> None:
    scene.memory.full = True
    scene.begin()
    scene.fire("main")
    scene.owners[1].wait(CloseWanted)
    until(lambda: scene.told(EventType.KILL_SWITCH_FIRED), what="the event")


def test_a_dry_run_closes_entries_and_sends_nothing(scene: Scene) -> None:
    scene.begin(dry_run=True)
    scene.fire("main")
    assert scene.standings["main"].closed_because
    with pytest.raises(SwitchRefused, match="dry run"):
        scene.ask(CloseAll(account=None, strangers=False, uid=7))
    assert not scene.owners[1].messages


def test_close_all_closes_what_is_owned_and_strangers_only_by_order(scene: Scene) -> None:
    scene.begin()
    assert scene.ask(CloseAll(account="main", strangers=False, uid=7)) == [1]
    assert scene.owners[1].wait(CloseWanted).reason is CloseReason.OPERATOR
    assert scene.ask(CloseAll(account=None, strangers=True, uid=7)) == [1, 2]
    for reader in scene.readers.values():
        reader.wait(CloseStrangers)
    assert len(scene.readers["main"].of(CloseStrangers)) == 1
    assert not any(standing.kill_switch.in_force for standing in scene.standings.values())
