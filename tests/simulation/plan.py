"""A schedule before it runs: everything about it that the seed decides at once.

`drawn` makes a random one: which symbols, which settings, how the market moves, which subset of the faults (a swarm:
what is left out matters as much as what is in), how many wishes. `scripted` makes one of the small exhaustive ones.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any

from adapters.paper_exchange.candles import Bar
from config.settings import Settings
from tests.simulation.faults import USUAL, Fault, Faults, Nth, Swarm
from tests.simulation.market import Market, TapePlayer, Walk
from tests.simulation.process import settings_of

SYMBOLS = ("BTCUSDT", "SOLUSDT", "XRPUSDT")
RECONCILE_S = 15.0


class Wish(StrEnum):
    """What somebody entitled asks for."""

    OPEN = "a signal to open"
    OPEN_BY_HAND = "an operator opens"
    CLOSE_SIGNAL = "a signal to close"
    CLOSE = "an operator closes"
    CLOSE_HALF = "an operator closes a half"
    SET_STOP = "an operator sets the stop"
    SET_TRAILING = "an operator changes the trailing"
    PAUSE = "an operator pauses entries"
    RESUME = "an operator resumes entries"
    RECONCILE = "an operator wants a reconciliation"
    WAIT = "nothing for a while"


WEIGHTS: Mapping[Wish, int] = {
    Wish.OPEN: 10,
    Wish.OPEN_BY_HAND: 2,
    Wish.CLOSE_SIGNAL: 1,
    Wish.CLOSE: 2,
    Wish.CLOSE_HALF: 1,
    Wish.SET_STOP: 1,
    Wish.SET_TRAILING: 1,
    Wish.PAUSE: 1,
    Wish.RESUME: 1,
    Wish.RECONCILE: 1,
    Wish.WAIT: 3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """Some seconds of trouble in a day: which faults may strike, how likely, and what is wished meanwhile."""

    after_s: float
    chances: Mapping[Fault, float]
    wishes: Sequence[tuple[float, Wish, str]]
    trouble_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """Hours of ordinary trading: signals now and then in the calm, and an episode of trouble every so often."""

    episodes: Sequence[Episode]
    signals: Sequence[tuple[float, str]]
    """In each calm: when (as a share of it), and which symbol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switching:
    """An operator's kill switch: seconds to its firing, and from there to its reset (None: when all is over)."""

    fire_s: float
    reset_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One schedule. `wishes`: (seconds after the one before, what, which symbol)."""

    seed: int
    settings: Settings
    markets: Mapping[str, Market]
    faults: Faults
    wishes: Sequence[tuple[float, Wish, str]]
    trouble_s: float
    calm_s: float = 37.0
    day: Day | None = None
    switching: Switching | None = None


WAVES: list[dict[str, Any]] = [
    {"wave_window_s": 0},
    {"wave_window_s": 1.0, "max_per_wave": 2},
    {"wave_window_s": 0.3, "max_per_wave": 1},
    {"wave_window_s": 0},
]
"""A signal of the simulation is of the wave of its minute."""

SLIPPAGE_PCT = ("0.02", "0.5", "0", "0.05")
"""Half the spread is 0.01 %: the narrow bounds are passed by a mark that moves while the entry is on its way."""


JUDGED: dict[str, Any] = {
    "health": {
        "stop_weight": 100, "drawdown_weight": 0, "settle_s": 5, "cooldown_s": 30,
        "on_medium": "tighten", "on_high": "reduce", "on_critical": "close",
    },
    "aging": {"max_age_hours": 0.5, "step_hours": 0.25, "step_pct": "0.2", "max_loss_pct": "0.5", "adopted": True},
}  # fmt: skip
"""Everything that is done about a risk level or an age."""
JUDGED_SEEDS = 5
SWITCHED_OF, SWITCHED_SEEDS = 10, 7
"""In one schedule of so many an operator fires the kill switch."""


@cache
def settings(variant: int, *, judged: bool = False) -> Settings:
    """Some ways to be set up: early and tight trailing so that stops move often, and the defaults."""
    trailing: list[dict[str, Any]] = [
        {"activation_pct": "0.3", "callback_pct": "0.2", "breakeven_pct": "0.2", "min_interval_s": 1.0},
        {"activation_pct": "0.5", "callback_pct": "0.3", "breakeven_pct": "0", "min_interval_s": 5.0},
        {
            "activation_pct": "0.4", "callback_pct": "0.4", "breakeven_pct": "0.1", "min_interval_s": 0.5,
            "steps": [{"profit_pct": "1", "callback_pct": "0.2"}],
        },
        {},
    ]  # fmt: skip
    return settings_of(
        {
            "trailing": trailing[variant],
            "protection": {"stop_pct": Decimal("0.6" if variant < 3 else "2")},
            "entries": {"cooldown_s": 1.0, "slippage_pct": SLIPPAGE_PCT[variant], **WAVES[variant]},
            "reconciler": {"interval_s": RECONCILE_S},
            **(JUDGED if judged else {}),
        }
    )


def drawn(seed: int, tapes: Mapping[str, Sequence[Bar]] | None = None, most_faults: int | None = None) -> Plan:
    """The schedule of a seed; `most_faults`: at most so many classes of faults in it."""
    chance = random.Random(f"plan {seed}")
    symbols = SYMBOLS[: chance.choice((1, 1, 2, 3))]
    faults = Swarm(_swarm(chance, most_faults), random.Random(f"faults {seed}"))
    trouble_s = chance.choice((15.0, 20.0, 30.0))
    wishes = []
    for _ in range(chance.randrange(4, 11)):
        (wish,) = chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
        wishes.append((chance.uniform(0.1, 2 * trouble_s / 6), wish, chance.choice(symbols)))
    volatility = chance.choice((0.02, 0.05, 0.1, 0.1, 0.2))
    return Plan(
        seed=seed,
        settings=settings(chance.choice((0, 0, 1, 2, 3)), judged=seed % 8 == JUDGED_SEEDS),
        markets={symbol: _market(seed, symbol, volatility, tapes) for symbol in symbols},
        faults=faults,
        wishes=[(0.2, Wish.OPEN, symbols[0]), *wishes],
        trouble_s=trouble_s,
        switching=_switching(seed, trouble_s) if seed % SWITCHED_OF == SWITCHED_SEEDS else None,
    )


def scripted(number: int, wishes: Sequence[Wish], faults: Nth) -> Plan:
    """Up to three wishes on one symbol, and one fault at most."""
    symbol = SYMBOLS[0]
    return Plan(
        seed=number,
        settings=settings(0),
        markets={symbol: Walk(random.Random(f"script {number}"), 0.1)},
        faults=faults,
        wishes=[(0.3 if not place else 4.0, wish, symbol) for place, wish in enumerate(wishes)],
        trouble_s=12.0,
        calm_s=22.0,
    )


def _switching(seed: int, trouble_s: float) -> Switching:
    """Numbers of its own: with it or without, all else of a seed is drawn alike."""
    chance = random.Random(f"switch {seed}")
    fire_s = chance.uniform(1.0, 0.8 * trouble_s)
    return Switching(fire_s=fire_s, reset_s=chance.choice((None, None, chance.uniform(1.0, 10.0))))


def _swarm(chance: random.Random, most: int | None) -> dict[Fault, float]:
    """A subset of the faults: none now and then, mostly a few, sometimes half of all."""
    size = chance.choice((0, 1, 2, 3, 4, 6, 8, 12, len(USUAL) // 2))
    size = size if most is None else min(size, most)
    chosen = chance.sample(list(USUAL), size)
    if Fault.DENIED in chosen and Fault.TIMEOUT_CODE not in chosen:
        chosen.append(Fault.TIMEOUT_CODE)  # only what has an unknown fate is asked for by name, and then at once
    strength = chance.choice((0.5, 1.0, 1.0, 2.0))
    return {fault: min(USUAL[fault] * strength, 1.0) for fault in chosen}


def _market(seed: int, symbol: str, volatility: float, tapes: Mapping[str, Sequence[Bar]] | None) -> Market:
    chance = random.Random(f"market {seed} {symbol}")
    bars = (tapes or {}).get(symbol)
    if bars and chance.random() < 0.5:
        begin = chance.randrange(max(len(bars) - 40, 1))
        return TapePlayer(bars[begin : begin + 40], low_first=chance.random() < 0.5)
    return Walk(chance, volatility)
