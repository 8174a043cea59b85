"""The synthetic market: a seeded walk for each symbol, exact on the tick.

The step from one price to the next depends on seed, symbol and step number alone, never on what went before but the
price itself. So a market goes on after a restart from (last price, step number), and the same seed gives the same walk
on every machine: the draws are integers, the prices Decimals.

`volatility` is the typical move in one minute, in percent. On top of the noise there are trends of half a minute to
minutes, jumps, and now and then a crash or a squeeze over some seconds; far from where it began, the price is drawn
back.
"""

import math
import random
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from adapters.paper_exchange.candles import MINUTE, Bar, Candle
from adapters.paper_exchange.contracts import Contract
from adapters.paper_exchange.orders import Price

_PPB: Final = 1_000_000_000
_DRAWS: Final = 4
# Standard deviation of the sum of four uniform 16-bit integers.
_DRAW_DEVIATION: Final = 37_837
_TREND_SECONDS: Final = 45
_EVENT_SECONDS: Final = 300
_EVENT_LENGTH_SECONDS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticMarket:
    """The walk of one symbol."""

    contract: Contract
    seed: int
    volatility: Decimal
    steps_per_second: int = 4
    streams_every_point: bool = False

    def first(self, now: int) -> Price:
        """The point with which the market opens."""
        return self._point(self.contract.on_tick(self.contract.start_price), 0, now)

    def following(self, before: Price, now: int) -> Price | None:
        """The point after `before`; a market without volatility stands still: None."""
        if not self.volatility:
            return None
        step = before.step + 1
        return self._point(self._moved(before.mark, self._move_ppb(step, before.mark)), step, now)

    @property
    def points_per_second(self) -> float:
        """How fast the points follow each other."""
        return self.steps_per_second

    def listed_as(self, contract: Contract) -> "SyntheticMarket":
        """The same walk under other filters."""
        return replace(self, contract=contract)

    def history(self, _first: Price, _minutes: int) -> list[Candle]:
        """A made-up past: minutes that walk backwards from the opening point."""
        opened = _first.time - _first.time % MINUTE
        candles: list[Candle] = []
        close = _first.mark
        for ago in range(1, _minutes + 1):
            draw = self._draws("history", ago)
            scale = int(self.volatility * _PPB / 100)
            start = self._moved(close, draw.randrange(-scale, scale + 1))
            high = self._moved(max(start, close), draw.randrange(scale // 2 + 1))
            low = self._moved(min(start, close), -draw.randrange(scale // 2 + 1))
            bar = Bar(open=start, high=high, low=low, close=close)
            candles.append(
                Candle(symbol=self.contract.symbol, open_time=opened - ago * MINUTE, mark=bar, last=bar, points=4)
            )
            close = start
        candles.reverse()
        return candles

    def _moved(self, price: Decimal, move_ppb: int) -> Decimal:
        return self.contract.on_tick(price * (_PPB + move_ppb) / _PPB)

    def _move_ppb(self, step: int, mark: Decimal) -> int:
        """The relative move of a step, in parts per billion."""
        minute = int(self.volatility * _PPB / 100)
        steps = 60 * self.steps_per_second
        draw = self._draws("step", step)
        noise = sum(draw.getrandbits(16) for _ in range(_DRAWS)) - _DRAWS * 32_768
        # The noise of n steps adds up to the minute's move: each has its 1/sqrt(n).
        move = noise * minute * 1000 // (_DRAW_DEVIATION * math.isqrt(steps * 1_000_000))
        move += self._trend(step, minute) // steps
        if draw.randrange(steps * 4) == 0:
            move += draw.choice((-1, 1)) * minute * draw.randrange(30, 100) // 100
        move += self._event(step, minute)
        distance = int((mark / self.contract.start_price - 1) * 1000)
        move -= minute * distance // (1000 * steps)
        # No single point takes more than a tenth off, whatever the volatility.
        return max(-_PPB // 10, min(_PPB // 10, move))

    def _trend(self, step: int, minute: int) -> int:
        """Drift in ppb a minute: strong, weak or none, for one to three spans."""
        span = step // (_TREND_SECONDS * self.steps_per_second)
        draw = self._draws("trend", span - span % 2 if span % 3 else span)
        return minute * draw.choice((-120, -60, -25, 0, 25, 60, 120)) // 100

    def _event(self, step: int, minute: int) -> int:
        """Share of a crash (or, rarer, a squeeze) of several minutes' moves that falls on this step."""
        span, place = divmod(step, _EVENT_SECONDS * self.steps_per_second)
        draw = self._draws("event", span)
        kind = draw.randrange(12)
        length = _EVENT_LENGTH_SECONDS * self.steps_per_second
        start = draw.randrange((_EVENT_SECONDS - _EVENT_LENGTH_SECONDS) * self.steps_per_second)
        if kind > 1 or not start <= place < start + length:
            return 0
        return (-1 if kind == 0 else 1) * minute * draw.randrange(4, 9) // length

    def _point(self, mark: Decimal, step: int, now: int) -> Price:
        draw = self._draws("basis", step)
        basis = mark * draw.randrange(-30, 31) / 1_000_000
        index = mark * (1_000_000 + draw.randrange(-50, 51)) / 1_000_000
        return Price(
            symbol=self.contract.symbol,
            mark=mark,
            last=self.contract.on_tick(mark + basis),
            index=self.contract.on_tick(index),
            step=step,
            time=now,
        )

    def _draws(self, purpose: str, number: int) -> random.Random:
        return random.Random(f"{self.seed}:{self.contract.symbol}:{purpose}:{number}")
