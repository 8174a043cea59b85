"""The strategy's word on one symbol after one candle: a find worth a signal, nothing, or why it could not be judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Context, Decimal

from domain.entries.signal import Action, Signal
from domain.instrument import PositionSide
from domain.strategy.harami import Harami, HaramiRules, find_harami
from domain.strategy.score import agreement, needed_for_agreement, strength
from domain.strategy.series import Bar, Skipped, closed_run

_SHOWN = Context(prec=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRules:
    """The candles that are judged, those above them, and the pattern's measures."""

    candle_minutes: int = 5
    higher_minutes: int = 60
    harami: HaramiRules = field(default_factory=HaramiRules)

    @property
    def span(self) -> timedelta:
        """How long a candle lasts."""
        return timedelta(minutes=self.candle_minutes)

    @property
    def higher(self) -> timedelta:
        """How long a candle of the next higher kind lasts."""
        return timedelta(minutes=self.higher_minutes)

    @property
    def needed(self) -> int:
        """How many closed candles a verdict looks at."""
        return max(self.harami.needed, needed_for_agreement(self.span, self.higher))


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """A harami and its scores."""

    harami: Harami
    score_week: Decimal
    score_month: Decimal


def judge(candles: Sequence[Bar], closed_at: datetime, rules: StrategyRules) -> Find | Skipped | None:
    """The verdict on the candle that closed at `closed_at`; None: there is no harami.

    It looks at the last `rules.needed` candles up to that one only, so later and earlier ones never change it.
    """
    run = closed_run(candles, rules.span, closed_at, rules.needed)
    if isinstance(run, Skipped):
        return run
    harami = find_harami(run, rules.harami)
    if harami is None:
        return None
    return Find(
        harami=harami,
        score_week=strength(harami, rules.harami),
        score_month=agreement(harami.side, run, rules.higher, closed_at),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a find was made: account, exchange (as signals name it), symbol."""

    account: str
    exchange: str
    symbol: str


def as_signal(find: Find, origin: Origin, closed_at: datetime, rules: StrategyRules) -> Signal:
    """The signal of a find. Id, wave and time follow from the candle, so that a restart finds the same one again."""
    candle = f"{closed_at:%Y-%m-%dT%H:%M}"
    return Signal(
        id=f"harami-{origin.account}-{origin.symbol}-{rules.candle_minutes}m-{candle}",
        symbol=origin.symbol,
        exchange=origin.exchange,
        account=origin.account,
        action=Action.BUY if find.harami.side is PositionSide.LONG else Action.SELL,
        score_week=find.score_week,
        score_month=find.score_month,
        wave=candle,
        created_at=closed_at,
    )


def figures(find: Find, rules: StrategyRules) -> dict[str, object]:
    """What decided a find, for whoever asks about its signal later."""
    harami = find.harami
    measures = {name: getattr(harami, name) for name in ("atr", "first_body", "second_body", "trend")}
    return {
        "pattern": "harami",
        "side": harami.side.value,
        "candle_minutes": rules.candle_minutes,
        **{name: f"{_SHOWN.plus(value):f}" for name, value in measures.items()},
    }
