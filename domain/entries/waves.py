"""Waves: the signals of one candle compete for a set number of entries. Time and events in, decisions out.

Rules of this file:
- A wave collects for the set time from its first signal on; nobody is judged before, so that the best goes first.
- Then the best are judged, as many as places are free. An entry has its place until it is known that nothing of it was
  filled; a refused signal takes none, so that the next one moves up. One that cannot be judged yet keeps its place.
- The rest are spares: they wait while an entry may still fail, at most so long, and are answered as not needed then.
- A signal that comes when its wave is over begins a further round: it collects again for the places that are left.
- What is not known of a wave (a restart) has to be recalled from the book before its first signal is added.
"""

from __future__ import annotations

import bisect
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from domain.entries.signal import Signal
from domain.identity import PositionId

SPARES_WAIT_S = 60.0
REMEMBERED = 500
RANKED = 20_000
LONG_AGO = datetime.min.replace(tzinfo=UTC)
Order = tuple[bool, Decimal, bool, Decimal, int]


class RankBy(StrEnum):
    """Which score decides; the other one decides between equals."""

    SCORE_WEEK = "score_week"
    SCORE_MONTH = "score_month"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveRules:
    """How long a wave collects (0: every signal is judged at once), how many entries it may have, who goes first."""

    window_s: float = 0.0
    places: int = 8
    rank_by: RankBy = RankBy.SCORE_WEEK
    spares_wait_s: float = SPARES_WAIT_S


class WaveKey(NamedTuple):
    """One wave. `account` is empty for signals that mean no account of ours."""

    account: str
    name: str


class Standing(NamedTuple):
    """A signal's place in its wave: `rank` 1 is the best of the `of` that this round has heard of so far."""

    key: WaveKey
    rank: int
    of: int


class Turn(NamedTuple):
    """A signal whose turn it is: to be judged, or (`spare`) to be told that it is not needed."""

    signal: Signal
    standing: Standing
    spare: bool
    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What became of the signals of a wave. `failed` are those of `opened` that filled nothing."""

    received: int
    opened: int
    failed: int
    not_needed: int
    refused: Mapping[str, int]

    @property
    def valid(self) -> int:
        """Those that no check refused."""
        return self.opened + self.not_needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the book knows of a wave: who has a place, by base currency, and whether that may still fail; answers."""

    positions: tuple[tuple[PositionId | None, str, bool], ...] = ()
    failed: int = 0
    not_needed: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)


class _Later(NamedTuple):
    """A signal that is judged at `at` again, or when `waits_for` has come; a spare has no place meanwhile."""

    signal: Signal
    at: datetime
    spare: bool
    waits_for: object


@dataclass(slots=True)
class _Wave:
    key: WaveKey
    closes_at: datetime = LONG_AGO
    waiting: list[tuple[Order, Signal]] = field(default_factory=list)
    later: dict[Order, _Later] = field(default_factory=dict)
    heard: list[Order] = field(default_factory=list)
    unranked: int = 0
    taken: int = 0
    bases: dict[str, PositionId | None] = field(default_factory=dict)
    pending: dict[PositionId, str] = field(default_factory=dict)
    before: int = 0
    opened: int = 0
    failed: int = 0
    not_needed: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def over(self) -> bool:
        return not self.waiting and not self.later

    @property
    def given(self) -> int:
        """Places that are taken or kept."""
        return self.taken + sum(not each.spare for each in self.later.values())

    def standing(self, order: Order) -> Standing:
        return Standing(self.key, bisect.bisect_left(self.heard, order) + 1, len(self.heard) + self.unranked)


class Waves:
    """All waves of all accounts."""

    def __init__(self, rules: WaveRules, remembered: int = REMEMBERED, ranked: int = RANKED) -> None:
        """The last `remembered` waves that are over are known without the book; the best `ranked` of one by rank."""
        self.rules = rules
        self._ranked = ranked
        self._remembered = remembered
        self._received = 0
        self._ids: set[str] = set()
        self._collecting: dict[WaveKey, _Wave] = {}
        self._working: dict[WaveKey, _Wave] = {}
        self._over: dict[WaveKey, _Wave] = {}

    # What is heard.

    def __len__(self) -> int:
        """How many signals have no answer yet."""
        return len(self._ids)

    @property
    def received(self) -> int:
        """How many were added so far: the last number of a turn's `order` is at most this."""
        return self._received

    def holds(self, signal_id: str) -> bool:
        """Whether this signal waits here for its answer."""
        return signal_id in self._ids

    def knows(self, key: WaveKey) -> bool:
        """Whether nothing has to be recalled before a signal is added."""
        return any(key in waves for waves in (self._collecting, self._working, self._over))

    def recall(self, key: WaveKey, known: Known) -> None:
        """What the book says of a wave that is not known."""
        wave = _Wave(key=key, failed=known.failed, not_needed=known.not_needed, refused=Counter(known.refused))
        for position_id, base, may_fail in known.positions:
            wave.taken += 1
            wave.bases[base] = position_id
            if may_fail and position_id is not None:
                wave.pending[position_id] = base
        wave.opened = len(known.positions) + known.failed
        wave.before = wave.opened + known.not_needed + wave.refused.total()
        self._over[key] = wave

    def add(self, key: WaveKey, signal: Signal, now: datetime) -> None:
        """A signal of a wave that is known, in the order of receipt; one that waits already is ignored."""
        if signal.id in self._ids:
            return
        wave = self._collecting.get(key) or self._working.get(key)
        if wave is None:
            wave = self._over.pop(key)
            wave.closes_at = now + timedelta(seconds=self.rules.window_s)
            self._collecting[key] = wave
        self._ids.add(signal.id)
        self._received += 1
        order = self._order(signal)
        heapq.heappush(wave.waiting, (order, signal))
        bisect.insort(wave.heard, order)
        if len(wave.heard) > self._ranked:  # a source that never stops: the worst are counted only
            wave.heard.pop()
            wave.unranked += 1

    def _order(self, signal: Signal) -> Order:
        scores = (signal.score_week, signal.score_month)
        first, second = scores if self.rules.rank_by is RankBy.SCORE_WEEK else scores[::-1]
        return (first is None, -(first or Decimal(0)), second is None, -(second or Decimal(0)), self._received)

    # What is decided.

    def next(self, now: datetime) -> Turn | None:
        """Whose turn it is; the answer has to be told (`opened`, `refused`, `not_needed`, `later`) before the next."""
        while True:
            for wave in self._working.values():
                turn = self._next_of(wave, now)
                if turn is not None:
                    return turn
            due = next(iter(self._collecting.values()), None)
            if due is None or due.closes_at > now:
                return None
            self._working[due.key] = self._collecting.pop(due.key)

    def _next_of(self, wave: _Wave, now: datetime) -> Turn | None:
        for order, each in wave.later.items():
            if each.at <= now:
                del wave.later[order]
                return Turn(each.signal, wave.standing(order), wave.given >= self.rules.places, order)
        if not wave.waiting:
            return None
        free = wave.given < self.rules.places
        if not free and (wave.pending or wave.later) and now < self._gives_up_at(wave):
            return None
        order, signal = heapq.heappop(wave.waiting)
        return Turn(signal, wave.standing(order), not free, order)

    def due_at(self) -> datetime | None:
        """When `next` has something to say by time alone."""
        times = [wave.closes_at for wave in self._collecting.values()][:1]
        for wave in self._working.values():
            times += [each.at for each in wave.later.values()]
            times += [self._gives_up_at(wave)] if wave.waiting else []
        return min(times, default=None)

    def _gives_up_at(self, wave: _Wave) -> datetime:
        return wave.closes_at + timedelta(seconds=self.rules.spares_wait_s)

    # What became of it.

    def held_by(self, turn: Turn, base: str) -> tuple[PositionId | None] | None:
        """Whose entry of the same wave has this base currency, if any has."""
        bases = self._working[turn.standing.key].bases
        return (bases[base],) if base in bases else None

    def opened(self, turn: Turn, base: str) -> None:
        """It was granted: the place is taken. `started` tells the position, where there is one."""
        wave = self._answered(turn)
        wave.opened += 1
        wave.taken += 1
        wave.bases[base] = None

    def started(self, turn: Turn, base: str, position_id: PositionId) -> None:
        """The position that was opened, which may fail yet."""
        wave = self._any(turn.standing.key)
        wave.bases[base] = position_id
        wave.pending[position_id] = base

    def refused(self, turn: Turn, code: str) -> None:
        """A check refused it: the next one moves up."""
        self._answered(turn).refused[code] += 1

    def not_needed(self, turn: Turn) -> None:
        """A spare was told so."""
        self._answered(turn).not_needed += 1

    def later(self, turn: Turn, at: datetime, waits_for: object = None) -> None:
        """It cannot be judged before `at`, or before what it waits for has come, and keeps its turn."""
        self._working[turn.standing.key].later[turn.order] = _Later(turn.signal, at, turn.spare, waits_for)

    def soon(self, now: datetime, come: object = None) -> None:
        """Judge those again that waited for what has `come`; None: all."""
        for wave in self._working.values():
            for order, each in wave.later.items():
                if come is None or each.waits_for == come:
                    wave.later[order] = each._replace(at=now)

    def finished(self, key: WaveKey) -> Tally | None:
        """The tally of a wave when its last signal has been answered, once a round."""
        wave = self._working.get(key)
        if wave is None or not wave.over:
            return None
        del self._working[key]
        self._over[key] = wave
        while len(self._over) > self._remembered:
            del self._over[next(iter(self._over))]
        wave.before += len(wave.heard) + wave.unranked
        wave.heard.clear()
        wave.unranked = 0
        return Tally(
            received=wave.before,
            opened=wave.opened,
            failed=wave.failed,
            not_needed=wave.not_needed,
            refused=dict(wave.refused),
        )

    # Entries.

    def pending(self) -> Iterator[PositionId]:
        """The entries whose fate spares wait for."""
        for wave in self._working.values():
            if wave.waiting:
                yield from tuple(wave.pending)

    def entered(self, position_id: PositionId) -> None:
        """Something of it was filled: the place is taken for good."""
        for wave in self._every():
            wave.pending.pop(position_id, None)

    def failed(self, position_id: PositionId) -> None:
        """Nothing of it was filled, nor will be: its place is free again."""
        for wave in self._every():
            base = wave.pending.pop(position_id, None)
            if base is not None:
                wave.taken -= 1
                wave.failed += 1
                if wave.bases.get(base) == position_id:
                    del wave.bases[base]

    def _every(self) -> Iterable[_Wave]:
        return (*self._collecting.values(), *self._working.values(), *self._over.values())

    def _any(self, key: WaveKey) -> _Wave:
        return next(waves[key] for waves in (self._working, self._over) if key in waves)

    def _answered(self, turn: Turn) -> _Wave:
        self._ids.discard(turn.signal.id)
        return self._working[turn.standing.key]
