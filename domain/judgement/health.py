"""How sound an open position is: six dangers, each 0 (none) to 100, and one score made of them (SYSTEM B7).

    stop         share of the way from the entry price to the first stop's place that the mark has gone;
                 0 once the stop in force stands at the entry price or better, 100 without a stop in force
    age          share of `age_s`
    drawdown     what was lost since the peak profit, in per cent of the entry price, as a share of `drawdown_pct`
    volatility   the average true range of a minute in per cent of the mark, as a share of `volatility_pct`
    price        time since the last mark price, as a share of `price_age_s`
    liquidation  100 at the liquidation price, 0 from `liquidation_pct` per cent of distance on, or where there is none

    score = 100 x (1 - product of (1 - weight/100 x danger/100))

So each danger alone brings the score up to its own weight, dangers add up without passing 100, no danger ever
lowers it, and a weight of 0 leaves a danger out. The way to the first stop is what counts, not to the present one:
else a stop that is tightened because of a danger would look like a greater danger.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import NamedTuple

from domain.instrument import MONEY
from domain.judgement.levels import Acted, Risk, RiskAction, RiskLevel
from domain.position import ledger, places, trailing
from domain.position.state import Position

NONE, WHOLE = Decimal(0), Decimal(100)
TENTH = Decimal("0.1")
GRAVITY = tuple(RiskAction)


class Dangers(NamedTuple):
    """One figure for each danger; as weights: how much each of them counts."""

    stop: Decimal
    age: Decimal
    drawdown: Decimal
    volatility: Decimal
    price: Decimal
    liquidation: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRules:
    """What counts how much, and where the levels begin. `bounds` and `actions` are of medium and up."""

    weights: Dangers
    age_s: int
    drawdown_pct: Decimal
    volatility_pct: Decimal
    price_age_s: int
    liquidation_pct: Decimal
    bounds: tuple[Decimal, Decimal, Decimal, Decimal]
    actions: tuple[RiskAction, RiskAction, RiskAction, RiskAction]
    hysteresis: Decimal
    settle_s: int
    cooldown_s: int

    def action(self, level: RiskLevel, known: Risk, now: datetime) -> RiskAction:
        """The gravest of what is set for the levels that are reached on the way to this one: a price jumps over some.

        `known`: where the position was; on the same level an action waits still: that of whatever was not done yet.
        """
        waits = level is known.level
        done = {each.level for each in known.acted if waits or self._rests(each, now)} - {level}
        above = 0 if waits else known.level.rank
        reached = [each for each in RiskLevel if above < each.rank <= level.rank and each not in done]
        return max((self.actions[each.rank - 1] for each in reached), key=GRAVITY.index, default=RiskAction.NONE)

    def _rests(self, acted: Acted, now: datetime) -> bool:
        return abs((now - acted.at).total_seconds()) < self.cooldown_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What is known of a position's market: the last mark, its age, the best one of this position, the ATR."""

    mark: Decimal
    age_s: Decimal
    peak: Decimal
    atr: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The finding."""

    dangers: Dangers
    score: Decimal
    level: RiskLevel


def examine(p: Position, heard: Heard, rules: HealthRules, now: datetime) -> Health:
    """Score a position. Its level keeps to where it is until the score leaves that far enough behind."""
    with localcontext(MONEY):
        found = dangers(p, heard, rules, now)
        total = score(found, rules.weights)
    return Health(dangers=found, score=total, level=level(total, p.risk or Risk(), rules, now))


def dangers(p: Position, heard: Heard, rules: HealthRules, now: datetime) -> Dangers:
    """Each danger by itself."""
    liquidation = NONE
    if p.liquidation_price is not None and p.liquidation_price > 0:
        distance = (heard.mark - p.liquidation_price) * p.side.sign / heard.mark * 100
        liquidation = WHOLE - share(distance, rules.liquidation_pct)
    lost = trailing.profit_pct(p, heard.peak) - trailing.profit_pct(p, heard.mark)
    return Dangers(
        stop=_to_stop(p, heard.mark),
        age=share(Decimal(int((now - p.opened_at).total_seconds())), Decimal(rules.age_s)),
        drawdown=share(lost, rules.drawdown_pct),
        volatility=share(heard.atr / heard.mark * 100, rules.volatility_pct),
        price=share(heard.age_s, Decimal(rules.price_age_s)),
        liquidation=liquidation,
    )


def _to_stop(p: Position, mark: Decimal) -> Decimal:
    stop, entry, first = trailing.stop_in_force(p), ledger.entry_price(p), places.first_trigger(p)
    if stop is None:
        return WHOLE
    if entry is None or first is None or not p.side.better(entry, stop.trigger) or not p.side.better(entry, first):
        return NONE
    return share((entry - mark) * p.side.sign, abs(entry - first))


def share(part: Decimal, whole: Decimal) -> Decimal:
    """`part` in per cent of `whole`, from 0 to 100."""
    return min(max(part * 100 / whole, NONE), WHOLE)


def score(found: Dangers, weights: Dangers) -> Decimal:
    """What the dangers come to, to a tenth."""
    sound = Decimal(1)
    for danger, weight in zip(found, weights, strict=True):
        sound *= 1 - weight * danger / 10_000
    return (WHOLE - WHOLE * sound).quantize(TENTH)


def level(total: Decimal, known: Risk, rules: HealthRules, now: datetime) -> RiskLevel:
    """The level of a score: up at once, down only when it has settled there and is well below the bound."""
    reached = _rank(total, rules)
    if reached >= known.level.rank:
        return tuple(RiskLevel)[reached]
    if known.at is not None and abs((now - known.at).total_seconds()) < rules.settle_s:
        return known.level
    left = _rank(total + rules.hysteresis, rules)
    return tuple(RiskLevel)[min(left, known.level.rank)]


def _rank(total: Decimal, rules: HealthRules) -> int:
    return sum(total >= bound for bound in rules.bounds)
