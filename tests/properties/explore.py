"""`python -m tests.properties.explore --seeds N`: random lives of a position, each from a seed, a breach told whole.

Each seed draws a side, a plan, a random subset of the faults (a swarm), what happens and when; then everything heals
and the position must come right (LAWS, 'Explore').
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from domain.instrument import Instrument, PositionSide
from domain.judgement.aging import AgingRules
from domain.judgement.levels import RiskAction, RiskLevel
from domain.position.inputs import (
    AgingChanged,
    CloseWanted,
    Release,
    RiskHeard,
    RulesChanged,
    StopWanted,
    TrailingWanted,
)
from domain.position.plan import MoveStyle, Plan, Protection, TakeProfit, TrailingRules, TrailingStep, VenueRules
from domain.position.state import CloseReason
from tests.properties.weather import CALM, Weather
from tests.properties.world import World

D = Decimal
INSTRUMENT = Instrument(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick=D("0.1"),
    step=D("0.001"),
    min_quantity=D("0.001"),
    max_market_quantity=D(100),
    min_notional=D(5),
)
MARK = D(60_000)
VENUES = (
    VenueRules(),
    VenueRules(close_position_stop=True),
    VenueRules(attached_stop=True, move=MoveStyle.ATTACHED),
    VenueRules(attached_stop=True, move=MoveStyle.AMEND),
    VenueRules(move=MoveStyle.AMEND),
    VenueRules(move=MoveStyle.CANCEL_THEN_PLACE),
)
LADDERS = (
    (),
    (),
    (TakeProfit(pct=D("0.4"), fraction=D(1)),),
    (TakeProfit(pct=D("0.3"), fraction=D("0.5")), TakeProfit(pct=D("0.9"), fraction=D("0.5"))),
    (
        TakeProfit(pct=D("1.2"), fraction=D("0.2")),
        TakeProfit(pct=D("0.15"), fraction=D("0.3")),
        TakeProfit(pct=D("0.6"), fraction=D("0.1")),
    ),
)
SLIPPAGE_PCT = (D(0), D("0.02"), D("0.5"))
JUDGED = 0.15
AGES = (
    None,
    AgingRules(max_age_s=5, step_s=5, step_pct=D("0.2"), max_loss_pct=D("0.5"), fee_pct=D("0.05")),
    AgingRules(max_age_s=1, step_s=1, step_pct=D("0.1"), max_loss_pct=D(0), fee_pct=D(0)),
    AgingRules(max_age_s=20, step_s=60, step_pct=D(1), max_loss_pct=D(3), fee_pct=D("0.1")),
)
FAULTS: dict[str, tuple[object, ...]] = {
    "latency": ((0.05, 0.6), (0.2, 2.6), (0.001, 5.0)),
    "stream_latency": ((0.0, 1.5), (0.5, 4.0)),
    "patience": (1.0, 5.0),
    "lose_request": (0.1, 0.4),
    "lose_reply": (0.1, 0.4),
    "unreachable": (0.1, 0.6, 1.0),
    "drop_news": (0.1, 0.5, 1.0),
    "repeat_news": (0.3, 0.8),
    "refuse_stop": (0.2, 0.6, 1.0),
    "refuse_exit": (0.3, 1.0),
    "refuse_entry": (0.3,),
    "refuse_target": (0.3, 1.0),
    "slots": (1, 2, 3),
    "cancel_fails": (0.3, 0.8),
    "deny_young": (0.3, 1.0),
    "stale_reading": (0.3, 0.8),
    "part_fill": (0.3, 1.0),
    "stuck_trigger": (0.5, 1.0),
    "refuse_trigger": (0.3, 1.0),
    "feed_stops": (0.3, 1.0),
}
EVENTS = ("price",) * 10 + (
    "jump",
    "quiet",
    "quiet",
    "view",
    "view",
    "heartbeat",
    "weather",
    "calm",
    "crash",
    "human_adds",
    "human_reduces",
    "human_flips",
    "human_cancels",
    "human_moves",
    "liquidation",
    "close",
    "close",
    "set_stop",
    "set_trailing",
    "settings",
    "release",
)
RARE = {"liquidation": 0.1, "release": 0.1, "human_flips": 0.3, "close": 0.4, "human_adds": 0.5, "human_reduces": 0.5}


def plan(chance: random.Random) -> Plan:
    """A random plan, with figures small enough for something to happen."""
    by_atr = chance.random() < 0.3
    return Plan(
        quantity=INSTRUMENT.step * chance.choice([1, 3, 10, 100]),
        protection=Protection(stop_pct=chance.choice([D("0.3"), D(1), D(2)])),
        trailing=TrailingRules(
            enabled=chance.random() < 0.8,
            activation_pct=chance.choice([D("0.2"), D("0.5"), D("1.5")]),
            callback_pct=chance.choice([D("0.1"), D("0.3"), D("0.5")]),
            breakeven_pct=chance.choice([None, D("0.15"), D("0.4")]),
            time_activation_minutes=chance.choice([None, 1]),
            atr_multiple=chance.choice([D("0.5"), D(2), D("3.3")]) if by_atr else None,
            steps=chance.choice([(), (TrailingStep(profit_pct=D(1), callback_pct=D("0.2")),)]),
            min_interval_s=chance.choice([D(0), D(1), D(5)]),
        ),
        stop_price=chance.choice([None, None, None, D(59_500)]),
        reference_price=MARK,
        take_profits=chance.choice(LADDERS),
        atr=chance.choice([D("31.7"), D(120) / 7]) if by_atr else None,
        venue=chance.choice(VENUES),
    )


def storm(chance: random.Random, subset: list[str]) -> Weather:
    """Some of the faults of this seed's subset, at once."""
    weather = CALM
    for name in subset:
        if chance.random() < 0.5:
            weather = replace(weather, **{name: chance.choice(FAULTS[name])})  # type: ignore[arg-type]
    return weather


def step(world: World, event: str, chance: random.Random, subset: list[str]) -> None:
    """One thing happens."""
    size = INSTRUMENT.step * chance.choice([1, 2, 5, 20])
    spread = 120 if event == "price" else 1_500
    fraction = chance.choice([D("0.1"), D("0.5"), D(1)])
    outside: dict[str, Callable[[], None]] = {
        "price": lambda: world.mark(world.venue.mark + D(chance.randint(-spread, spread))),
        "jump": lambda: world.mark(world.venue.mark + D(chance.randint(-spread, spread))),
        "quiet": lambda: world.advance(chance.choice([3, 10, 30])),
        "view": world.wire.view,
        "heartbeat": world.heartbeat,
        "weather": lambda: world.change(storm(chance, subset)),
        "calm": lambda: world.change(CALM),
        "crash": lambda: world.crash(chance.choice([0.01, 0.3, 2.0, 8.0])),
        "human_adds": lambda: world.human_trades(size),
        "human_reduces": lambda: world.human_trades(-min(size, world.judge.size())),
        "human_flips": lambda: world.human_trades(-(world.judge.size() + size)),
        "human_cancels": world.human_cancels,
        "human_moves": lambda: world.human_moves(_somewhere(world, chance)),
        "liquidation": world.liquidate,
    }
    ours: dict[str, Callable[[], None]] = {
        "close": lambda: world.hear(CloseWanted(reason=CloseReason.OPERATOR, fraction=fraction)),
        "set_stop": lambda: _set_stop(world, chance),
        "set_trailing": lambda: world.hear(TrailingWanted(rules=plan(chance).trailing)),
        "settings": lambda: settings_change(world, chance),
        "release": lambda: world.hear(Release()),
    }
    if event in outside:
        outside[event]()
    elif world.alive and not world.position.phase.final:
        ours[event]()


def settings_change(world: World, chance: random.Random) -> None:
    """A reload: whatever it changes, no stop in force is loosened."""
    old, new = plan(chance), plan(chance)
    world.hear(
        RulesChanged(
            old_protection=old.protection,
            protection=replace(new.protection, stop_pct=chance.choice([D("0.3"), D(1), D(2), D(4)])),
            old_trailing=old.trailing,
            trailing=new.trailing,
        )
    )


def judged(world: World, chance: random.Random) -> None:
    """Somebody has judged the position, now and then."""
    if not world.alive or world.position.phase.final or chance.random() > JUDGED:
        return
    world.hear(_risk(chance) if chance.random() < 0.6 else AgingChanged(rules=chance.choice(AGES)))


def _risk(chance: random.Random) -> RiskHeard:
    """Any level, with any action."""
    return RiskHeard(
        level=chance.choice(list(RiskLevel)),
        score=D(chance.randint(0, 100)),
        dangers=(("stop", D(50)),),
        action=chance.choice(list(RiskAction)),
        tighten_pct=chance.choice([D(10), D(50), D(90)]),
        fraction=chance.choice([D("0.1"), D("0.5")]),
        cooldown_s=chance.choice([0, 5]),
        stale=chance.random() < 0.3,
    )


def _set_stop(world: World, chance: random.Random) -> None:
    """An operator's stop, as the owner lets it through: on the right side of the mark."""
    price = _somewhere(world, chance)
    world.judge.allow(price)
    world.hear(StopWanted(price=price))


def _somewhere(world: World, chance: random.Random) -> D:
    """A price on the losing side of the mark."""
    p = world.position
    mark = p.mark_price or MARK
    return p.instrument.stop_price(p.side, mark - p.side.sign * D(chance.randint(50, 2_000)))


def life(seed: int) -> World:
    """One life. Raises what went wrong, with the world at `world`."""
    chance = random.Random(seed)
    side = chance.choice(list(PositionSide))
    chosen = plan(chance)
    if side is PositionSide.SHORT and chosen.stop_price is not None:
        chosen = replace(chosen, stop_price=D(60_500))
    chosen = replace(chosen, slippage_pct=SLIPPAGE_PCT[seed % len(SLIPPAGE_PCT)])
    subset = chance.sample(sorted(FAULTS), chance.randint(0, 7))
    world = World(seed, side, chosen, INSTRUMENT, MARK)
    judging = random.Random(f"judged {seed}")  # its own: other lives go on as they did before there was a judge
    try:
        if chance.random() < 0.5:
            world.change(storm(chance, subset))
        for _ in range(chance.randint(5, 60)):
            event = chance.choice(EVENTS)
            if world.position.phase.final and world.alive:
                break
            if chance.random() > RARE.get(event, 1.0):
                continue
            step(world, event, chance, subset)
            if seed % 3 == 1:
                judged(world, judging)
            world.advance(chance.choice([0.005, 0.05, 0.2, 0.5, 1.0, 2.0]))
        world.heal()
    except Exception as error:
        error.add_note("\n".join(world.history))
        raise
    return world


def tell(what: str) -> None:
    """A line for whoever runs this."""
    sys.stdout.write(what + "\n")


def main() -> int:
    """Explore; 0 when nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keep-going", action="store_true", help="count the kinds of breaches, tell one of each")
    options = parser.parse_args()
    began = time.monotonic()
    ends: Counter[str] = Counter()
    excuses: Counter[str] = Counter()
    found: dict[str, list[int]] = {}
    for seed in range(options.first, options.first + options.seeds):
        try:
            world = life(seed)
        except Exception as error:
            kind = f"{type(error).__name__}: {str(error).splitlines()[0][:50] if str(error) else ''}"
            if not options.keep_going:
                tell("\n".join([f"seed {seed}", *error.__notes__]))
                traceback.print_exc(limit=-4)
                return 1
            found.setdefault(kind[:32], []).append(seed)
            continue
        ends[f"{world.position.phase.value}"] += 1
        excuses += world.judge.excuses
    took = time.monotonic() - began
    tell(f"{options.seeds} lives in {took:.1f} s; ends {dict(ends)}; excuses {dict(excuses)}")
    for kind, seeds in found.items():
        tell(f"{len(seeds):5}  {kind}  seeds {seeds[:8]}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
