"""One recorded market in virtual time: the mark price on its way through the bars, and whatever is due meanwhile.

How a bar becomes a path: open at its beginning, one extreme after a third, the other after two thirds, the close a
second before its end; from there to the next open the price jumps, as it does over a hole in the tape. On its way the
price passes every level in between, so a stop is triggered at its own price (`jumps`: it does not, and whatever is
triggered is filled at the far end, as the paper exchange plays tapes). The venue publishes its mark price once a
second; who hears of it is decided by the same index of bands as in the service.

Rule of this file: what happens to one position does not depend on which others are replayed beside it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Protocol

from actors.replay.bars import Tape, TimedBar
from actors.replay.times import instant
from adapters.paper_exchange.contracts import Contract
from adapters.paper_exchange.tape import BarOrder
from domain.market.atr import AtrRules
from domain.market.bands import BandIndex
from domain.position.inputs import PriceRange

PUBLISHED_EVERY_MS = 1_000
AFTER_THE_END_MS = 15_000


class Resident(Protocol):
    """What lives in a market: an exchange account with triggers and an owner with a band."""

    def touched(self, at: int, mark: Decimal) -> None:
        """The mark has reached a trigger of the account."""

    def told(self, at: int, prices: PriceRange) -> None:
        """A published price has left the owner's band."""

    def witness(self, at: int, mark: Decimal) -> None:
        """A price was published; told to those only who settled as witnesses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """The mark price from `begin` to `end` (ms): a straight line, or `first` until it jumps to `last` at the end."""

    begin: int
    end: int
    first: Decimal
    last: Decimal
    walks: bool

    def mark(self, at: int, tick: Decimal) -> Decimal:
        """The mark price at a moment: the last tick that the line has passed, so that no level is reached early."""
        if at >= self.end:
            return self.last
        if not self.walks or at <= self.begin:
            return self.first
        passed = (self.last - self.first) * (at - self.begin) / (self.end - self.begin)
        return self.first + passed // tick * tick

    def reaches(self, level: Decimal) -> int:
        """When a level on the way is reached, ms, rounded up."""
        if not self.walks or self.first == self.last:
            return self.end
        elapsed = (level - self.first) * (self.end - self.begin) / (self.last - self.first)
        return self.begin + int(elapsed.to_integral_value(ROUND_CEILING))


class Market:
    """Moves time. All is called from `run`, in the order of time, and in that of being scheduled where times tie."""

    def __init__(self, tape: Tape, bar_order: BarOrder, *, jumps: bool, delay_ms: int) -> None:
        """`delay_ms`: how long a published price is on its way to an owner."""
        self._tape = tape
        self._low_first = bar_order is BarOrder.LOW_FIRST
        self._jumps = jumps
        self._delay_ms = delay_ms
        self._symbol = tape.contract.symbol
        self._legs: deque[Leg] = deque()
        self._due: list[tuple[int, int, Callable[[int], None]]] = []
        self._scheduled = 0
        self._bands: BandIndex[int] = BandIndex()
        self._triggers: BandIndex[int] = BandIndex()
        self._trigger_of: dict[int, tuple[Decimal | None, Decimal | None]] = {}
        self._residents: dict[int, Resident] = {}
        self._witnesses: dict[int, Resident] = {}

    @property
    def contract(self) -> Contract:
        """The instrument."""
        return self._tape.contract

    def average_range(self, at: int, rules: AtrRules) -> Decimal | None:
        """The ATR that an entry at `at` (ms) is scaled by; None when the tape has too few bars before."""
        return self._tape.average_range(at, rules)

    def run(self) -> None:
        """Play the tape to its end, and a little longer at its last price for what is under way."""
        for leg in self._path():
            self._play(leg)

    def at(self, moment: int, action: Callable[[int], None]) -> None:
        """Do something at a moment, ms; it is given that moment."""
        self._scheduled += 1
        heapq.heappush(self._due, (moment, self._scheduled, action))

    def mark(self, at: int) -> Decimal:
        """The mark price at the venue at a moment of the current leg, on the tick."""
        return self._legs[-1].mark(at, self.contract.tick)

    def heard(self, now: int) -> tuple[Decimal, int] | None:
        """The newest published price that has reached an owner by `now`, and when it was published."""
        at = now - self._delay_ms
        for leg in reversed(self._legs):
            if at >= leg.begin:
                published = self._published_at(leg, at)
                return leg.mark(published, self.contract.tick), published
        return None

    def settle(self, number: int, resident: Resident, *, witness: bool) -> None:
        """A new resident; a witness sees every published price."""
        self._residents[number] = resident
        if witness:
            self._witnesses[number] = resident

    def leave(self, number: int) -> None:
        """A resident's life is over."""
        del self._residents[number]
        self._witnesses.pop(number, None)
        self._trigger_of.pop(number, None)
        self._bands.drop(number)
        self._triggers.drop(number)

    def watch_band(self, number: int, low: Decimal | None, high: Decimal | None) -> PriceRange | None:
        """The owner's band from now on; returns what it has not heard yet if that has left it."""
        return self._bands.register(number, self._symbol, low, high)

    def unheard(self, number: int) -> PriceRange | None:
        """What the owner has not heard yet; it counts as heard from now on."""
        return self._bands.heartbeat(number)

    def watch_triggers(self, number: int, below: Decimal | None, above: Decimal | None) -> None:
        """The prices at which the account's next conditional is triggered, from now on."""
        self._trigger_of[number] = (below, above)
        self._triggers.register(number, self._symbol, below, above)

    # Inside

    def _path(self) -> Iterator[Leg]:
        bars = self._tape.bars
        self._legs.append(_still(bars[0].at, bars[0].at, bars[0].bar.open))
        self._publish(bars[0].at, bars[0].bar.open)
        for number, timed in enumerate(bars):
            yield from self._legs_of(timed)
            closed, close = timed.at + self._tape.bar_ms - PUBLISHED_EVERY_MS, timed.bar.close
            if number + 1 < len(bars):
                following = bars[number + 1]
                yield Leg(begin=closed, end=following.at, first=close, last=following.bar.open, walks=False)
            else:
                yield _still(closed, closed + AFTER_THE_END_MS, close)

    def _legs_of(self, timed: TimedBar) -> Iterator[Leg]:
        bar, third = timed.bar, self._tape.bar_ms // 3
        inner = (bar.low, bar.high) if self._low_first else (bar.high, bar.low)
        moments = (timed.at, timed.at + third, timed.at + 2 * third, timed.at + self._tape.bar_ms - PUBLISHED_EVERY_MS)
        prices = (bar.open, *inner, bar.close)
        for part in range(3):
            yield Leg(
                begin=moments[part],
                end=moments[part + 1],
                first=prices[part],
                last=prices[part + 1],
                walks=not self._jumps,
            )

    def _play(self, leg: Leg) -> None:
        self._legs.append(leg)
        while len(self._legs) > 1 and self._legs[1].begin < leg.begin - self._delay_ms:
            self._legs.popleft()
        now = leg.begin
        while True:
            due = self._due[0][0] if self._due else None
            if (due is None or due >= leg.end) and not self._concerns_anybody(leg.last):
                self._publish(leg.end, leg.last)
                return
            published = min(self._published_at(leg, now) + PUBLISHED_EVERY_MS, leg.end) if leg.walks else leg.end
            until = published if due is None else min(due, published)
            touched = self._first_touched(leg, now, until)
            if touched is not None:
                now = touched
            elif due is not None and due < published:
                now = max(due, now)
                heapq.heappop(self._due)[2](now)
            else:
                self._publish(published, leg.mark(published, self.contract.tick))
                now = published
                if now == leg.end:
                    return

    def _concerns_anybody(self, price: Decimal) -> bool:
        return bool(self._bands.crossed(self._symbol, price) or self._triggers.crossed(self._symbol, price))

    def _first_touched(self, leg: Leg, now: int, until: int) -> int | None:
        """Let the first trigger on the way up to `until` be touched; returns when that was."""
        price = leg.mark(until, self.contract.tick)
        crossed = self._triggers.crossed(self._symbol, price)
        if not crossed:
            return None
        below, above = self._trigger_of[crossed[0]]
        level = below if below is not None and price <= below else above
        if level is None:
            raise LookupError(f"resident {crossed[0]}: crossed at {price} without a trigger")
        at = min(max(leg.reaches(level), now), until)
        self._residents[crossed[0]].touched(at, level if leg.walks else price)
        return at

    def _publish(self, at: int, price: Decimal) -> None:
        for witness in self._witnesses.values():
            witness.witness(at, price)
        for number, prices in self._bands.price(self._symbol, price, instant(at)):
            self._residents[number].told(at, prices)

    def _published_at(self, leg: Leg, at: int) -> int:
        """When the newest price published by `at` was: on the whole second, at the ends of a leg, at its jump."""
        if at >= leg.end:
            return leg.end
        return max(at - at % PUBLISHED_EVERY_MS, leg.begin) if leg.walks else leg.begin


def _still(begin: int, end: int, price: Decimal) -> Leg:
    return Leg(begin=begin, end=end, first=price, last=price, walks=False)
