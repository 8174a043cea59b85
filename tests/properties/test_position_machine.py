"""The position machine against the model venue: hypothesis chooses what happens, the judge watches at the venue.

At the end of every run all faults stop and the position must come right: flat, clean and over, or exactly one stop of
exactly the right size (LAWS S1-S7, L1, L6). `python -m tests.properties.explore` goes on where this stops.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from domain.instrument import PositionSide
from domain.position import exits, ladder, ledger, machine, places, stops, targets, tracking, trailing
from domain.position.effects import Cancel, Place
from domain.position.inputs import CloseWanted, PriceRange, Release, StopWanted, TrailingWanted, Wake
from domain.position.state import CloseReason, OrderState, StopOrder
from domain.position.turn import Turn
from tests.properties import explore
from tests.properties.explore import FAULTS, INSTRUMENT, MARK, life
from tests.properties.judge import Breach
from tests.properties.weather import CALM, Weather
from tests.properties.world import World

D = Decimal
WEATHERS = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(values) for name, values in FAULTS.items()}
).map(lambda chosen: Weather(**chosen))  # type: ignore[arg-type]
UNITS = st.sampled_from([1, 2, 5, 20]).map(lambda n: INSTRUMENT.step * n)


class PositionLife(RuleBasedStateMachine):
    """One position from its entry on; every rule is one thing that happens to it."""

    world: World

    @initialize(seed=st.integers(0, 10**6), side=st.sampled_from(PositionSide))
    def open(self, seed: int, side: PositionSide) -> None:
        """A plan by chance."""
        plan = replace(explore.plan(random.Random(seed)), stop_price=None)
        self.world = World(seed, side, plan, INSTRUMENT, MARK)

    @property
    def running(self) -> bool:
        """Whether the owner is there to be spoken to."""
        return self.world.alive and not self.world.position.phase.final

    @rule(seconds=st.sampled_from([0.005, 0.05, 0.3, 1.0, 3.0, 15.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.world.advance(seconds)

    @rule(change=st.integers(-1_500, 1_500), seconds=st.sampled_from([0.005, 0.05, 0.5]))
    def price(self, change: int, seconds: float) -> None:
        """The mark price moves."""
        self.world.mark(self.world.venue.mark + D(change))
        self.world.advance(seconds)

    @rule(weather=WEATHERS)
    def weather(self, weather: Weather) -> None:
        """The network and the venue behave otherwise."""
        self.world.change(weather)

    @rule()
    def calm(self) -> None:
        """They behave."""
        self.world.change(CALM)

    @rule()
    def reconcile(self) -> None:
        """The reconciler shows what the venue has."""
        self.world.wire.view()

    @rule()
    def heartbeat(self) -> None:
        """The feed says what it has kept back."""
        self.world.heartbeat()

    @rule(down=st.sampled_from([0.01, 0.3, 2.0, 8.0]))
    def crash(self, down: float) -> None:
        """The process is killed."""
        self.world.crash(down)

    @precondition(lambda self: self.running)
    @rule(quantity=UNITS, adds=st.booleans())
    def human_trades(self, quantity: Decimal, adds: bool) -> None:
        """A human enlarges it, or reduces it to nothing or beyond."""
        self.world.human_trades(quantity if adds else -quantity)

    @rule()
    def human_cancels(self) -> None:
        """A human cancels our stop."""
        self.world.human_cancels()

    @rule()
    def liquidation(self) -> None:
        """The venue closes it."""
        self.world.liquidate()

    @precondition(lambda self: self.running)
    @rule(fraction=st.sampled_from([D("0.1"), D("0.5"), D(1)]))
    def close(self, fraction: Decimal) -> None:
        """An operator closes it or some of it."""
        self.world.hear(CloseWanted(reason=CloseReason.OPERATOR, fraction=fraction))

    @precondition(lambda self: self.running)
    @rule(distance=st.integers(50, 2_000))
    def set_stop(self, distance: int) -> None:
        """An operator sets the stop."""
        p = self.world.position
        mark = p.mark_price or MARK
        price = p.instrument.stop_price(p.side, mark - p.side.sign * distance)
        self.world.judge.allow(price)
        self.world.hear(StopWanted(price=price))

    @precondition(lambda self: self.running)
    @rule(seed=st.integers(0, 1_000))
    def set_trailing(self, seed: int) -> None:
        """An operator changes how it trails."""
        self.world.hear(TrailingWanted(rules=explore.plan(random.Random(seed)).trailing))

    @precondition(lambda self: self.running)
    @rule(seed=st.integers(0, 1_000))
    def settings(self, seed: int) -> None:
        """The settings are reloaded."""
        explore.settings_change(self.world, random.Random(seed))

    @precondition(lambda self: self.running)
    @rule(sure=st.integers(0, 9))
    def release(self, sure: int) -> None:
        """An operator takes it over, seldom."""
        if sure == 0:
            self.world.hear(Release())

    def teardown(self) -> None:
        """All faults end."""
        if hasattr(self, "world"):
            self.world.heal()


PositionLife.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestPositionLife = PositionLife.TestCase


@pytest.mark.parametrize("block", range(6))
def test_seeded_lives_come_right(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        life(seed)


def test_the_same_seed_tells_the_same_story() -> None:
    assert life(4_711).history == life(4_711).history


@settings(max_examples=250, deadline=None)
@given(seed=st.integers(0, 10**6), part=st.integers(0, 1_000), steps=st.integers(0, 25))
def test_a_price_inside_the_band_changes_nothing(seed: int, part: int, steps: int) -> None:
    world = started(seed, steps)
    p = machine.handle(world.position, Wake(), world.now).position
    band = trailing.band(p)
    low = band.low if band.low is not None else D(20_000)
    high = band.high if band.high is not None else D(120_000)
    price = (low + (high - low) * part / 1_000).quantize(D("1e-8"))
    if p.phase.final or not low < price < high:
        return
    inside = PriceRange(last=price, low=price, high=price, at=world.now)
    quiet = machine.handle(p, Wake(), world.now)
    heard = machine.handle(quiet.position, inside, world.now)
    assert [e for e in heard.effects if isinstance(e, Place | Cancel)] == []
    if all(s.state is OrderState.LIVE for s in p.stops):  # else the favourable side waits for what is under way
        assert heard.happenings == ()
        assert trailing.band(heard.position) == band


def started(seed: int, steps: int) -> World:
    """A life in the middle, with a stop in force more often than not."""
    chance = random.Random(seed)
    side = chance.choice(list(PositionSide))
    world = World(seed, side, replace(explore.plan(chance), stop_price=None), INSTRUMENT, MARK)
    world.advance(1)
    for _ in range(steps):
        world.mark(world.venue.mark + chance.randint(-60, 90) * side.sign)
        world.advance(chance.choice([0.05, 0.5, 2.0]))
    return world


# Faults put into the machine on purpose: the judge is worth nothing if it does not see them.


def cancels_first(turn: Turn, keep: StopOrder) -> None:
    """A move that cancels the old stop before the new one is there."""
    wanted = places.wanted_trigger(turn.position)
    if wanted is not None and turn.position.side.better(wanted, keep.trigger) and keep.state is OrderState.LIVE:
        stops._cancel(turn, keep)


def never_cancels(turn: Turn, live: list[StopOrder], keep: StopOrder) -> None:
    """A move that leaves the old stop."""


def keeps_the_worst(p: object, live: list[StopOrder]) -> StopOrder:
    """Of two stops the older one is kept."""
    return live[0]


def never_resizes(p: object) -> Decimal:
    """The size of the first fill is believed for ever."""
    return D(0)


decide_on_targets = targets.decide


def leaves_targets(turn: Turn) -> None:
    """A flat position leaves its take-profits behind."""
    if not ledger.flat(turn.position):
        decide_on_targets(turn)


BUGS: list[tuple[object, str, object]] = [
    (stops, "_improve", cancels_first),
    (stops, "_cancel_others", never_cancels),
    (stops, "_cancel_all", lambda turn: None),
    (stops, "_best", keeps_the_worst),
    (stops, "gone", lambda turn, stop, status, why: turn.put(replace(stop, ask_at=None))),
    (places, "on_safe_side", lambda p, trigger: True),
    (exits, "_quantity", never_resizes),
    (ledger, "trusted_report", lambda p: None),
    (ledger, "_adjust", lambda turn, report, shown: None),
    (tracking, "_not_found", lambda turn, order, asked_at: None),
    (tracking, "ask_open_questions", lambda turn: None),
    (tracking, "pause", lambda questions: timedelta(0)),
    (targets, "decide", lambda turn: None),
    (targets, "decide", leaves_targets),
    (targets, "_settled", lambda turn: True),
    (targets, "_reduce", lambda turn: None),
    (targets, "_withdraw", lambda turn: None),
    (targets, "gone", lambda turn, target, status, why: turn.put(replace(target, ask_at=None))),
    (targets, "hear_child", lambda turn, report: None),
    (ladder, "taken", lambda p, rung: D(0)),
    (ladder, "owed", lambda p: D(0)),
]


@pytest.mark.parametrize(("module", "name", "bug"), BUGS, ids=[name for _, name, _ in BUGS])
def test_the_judge_sees_a_seeded_bug(module: object, name: str, bug: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, name, bug)
    with pytest.raises((Breach, AssertionError, ValueError)):
        for seed in range(600):
            life(seed)
