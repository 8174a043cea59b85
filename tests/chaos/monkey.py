"""The monkey: bursts of one to four acts at a time, drawn from its seed; after each everything is healed and timed.

Rules of this file: what is drawn depends on the seed alone, never on the clock or on what happened; each group of acts
is a deck that is dealt to its end before it is shuffled again, so that in time every kind has its turn. Acts of one
burst may overlap in any way but for those that would hide each other.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from loguru import logger

from tests.chaos.act import Act, Group
from tests.chaos.house import House
from tests.chaos.process_acts import actor_acts, database_acts, exchange_acts, service_acts
from tests.chaos.venue_acts import human_acts, release_stuck, venue_acts
from tests.chaos.whole import Recovery, await_whole, held

Maker = Callable[[random.Random, tuple[str, ...]], list[Act]]

SHARES: dict[Group, int] = {
    Group.ACTOR: 26,
    Group.SERVICE: 10,
    Group.DATABASE: 10,
    Group.EXCHANGE: 6,
    Group.WIRE: 26,
    Group.VENUE: 14,
    Group.HUMAN: 8,
}
SIZES = (1, 2, 3, 4)
SIZE_SHARES = (25, 35, 25, 15)
SPREAD_S = 2.5
"""Within so long the acts of a burst begin."""
LONG_S = 7.0
"""An act that lasts this long has room for one more beside it, and so on."""
REST_S = (0.2, 1.2)
FIRST_POSITIONS = 4
FIRST_LIMIT_S = 45.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An act of a burst. `struck`: there was something to do it to; `over`: since when (monotonic) it may heal."""

    act: Act
    struck: bool
    over: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What was done at a time, and how the house came right again."""

    number: int
    done: tuple[Done, ...]
    recovery: Recovery


class Schedule:
    """What the seed says: burst after burst, without end."""

    def __init__(self, seed: int, accounts: tuple[str, ...]) -> None:
        from tests.chaos.wire_acts import wire_acts

        self._rng = random.Random(f"{seed}:monkey")
        self._accounts = accounts
        self._makers: dict[Group, Maker] = {
            Group.ACTOR: actor_acts,
            Group.SERVICE: service_acts,
            Group.DATABASE: database_acts,
            Group.EXCHANGE: exchange_acts,
            Group.WIRE: wire_acts,
            Group.VENUE: venue_acts,
            Group.HUMAN: human_acts,
        }
        self._decks: dict[Group, list[Act]] = {group: [] for group in Group}

    def bursts(self) -> Iterator[list[tuple[float, Act]]]:
        """Each with the moments (s) at which its acts begin: within a long one there is time for more."""
        while True:
            left = self._rng.choices(SIZES, SIZE_SHARES)[0]
            acts: list[tuple[float, Act]] = []
            spread_s = SPREAD_S
            while left > 0:
                left -= 1
                act = self._draw()
                if not all(compatible(act, other) for _, other in acts):
                    self._decks[act.group].insert(0, act)
                    continue
                acts.append((self._rng.uniform(0, spread_s if act.lasts_s < LONG_S else SPREAD_S), act))
                if act.lasts_s >= LONG_S:
                    left += int(act.lasts_s / LONG_S)
                    spread_s = max(spread_s, act.lasts_s)
            yield acts

    def rest_s(self) -> float:
        """How long nothing is done before the next one."""
        return self._rng.uniform(*REST_S)

    def _draw(self) -> Act:
        group = self._rng.choices(list(SHARES), list(SHARES.values()))[0]
        deck = self._decks[group]
        if not deck:
            deck += self._makers[group](self._rng, self._accounts)
            self._rng.shuffle(deck)
        return deck.pop()


def compatible(one: Act, other: Act) -> bool:
    """Whether both can strike in one burst: not twice at one process, and no start on a frozen database."""
    if one.group is other.group:
        alone = one.group in (Group.SERVICE, Group.DATABASE)
        return not alone and not (one.group is Group.EXCHANGE and one.account == other.account)
    frozen = one.freezes_database or other.freezes_database
    return not (frozen and Group.SERVICE in (one.group, other.group))


class Monkey:
    """Carries the schedule out."""

    def __init__(self, house: House, seed: int) -> None:
        self.bursts: list[Burst] = []
        self._house = house
        self._schedule = Schedule(seed, tuple(house.exchanges))

    def run(self, seconds: float) -> None:
        """Burst after burst for so long; the last one is begun within it."""
        self._await_positions()
        over = time.monotonic() + seconds
        for number, acts in enumerate(self._schedule.bursts(), 1):
            if time.monotonic() > over:
                return
            self._burst(number, acts)
            time.sleep(self._schedule.rest_s())

    def _await_positions(self) -> None:
        """There is something to break."""
        deadline = time.monotonic() + FIRST_LIMIT_S
        while sum(len(held(each)) for each in self._house.exchanges.values()) < FIRST_POSITIONS:
            assert time.monotonic() < deadline, f"no positions in {FIRST_LIMIT_S} s:\n{self._house.service.log_tail()}"
            time.sleep(0.2)

    def _burst(self, number: int, acts: list[tuple[float, Act]]) -> None:
        begun = time.monotonic()
        order = count()
        due: list[tuple[float, int, Act, bool]] = [(offset, next(order), act, True) for offset, act in acts]
        heapq.heapify(due)
        done: list[Done] = []
        while due:
            at, _, act, begins = heapq.heappop(due)
            time.sleep(max(0.0, begun + at - time.monotonic()))
            now = time.monotonic()
            if not begins:
                act.end(self._house)
                done.append(Done(act=act, struck=True, over=now))
                continue
            struck = act.begin(self._house)
            logger.info("MONKEY burst={} kind={!r} struck={} lasts_s={:.1f}", number, act.kind, struck, act.lasts_s)
            if not struck:
                done.append(Done(act=act, struck=False, over=now))
            else:
                heapq.heappush(due, (time.monotonic() - begun + act.lasts_s, next(order), act, False))
        if not self._house.service.alive and not any(each.act.group is Group.SERVICE for each in done):
            self._house.self_exits.append(f"burst {number}: exit {self._house.service.exit_code}")
        heal(self._house)
        recovery = await_whole(self._house)
        up = "not at all" if recovery.up_s is None else f"{recovery.up_s:.1f} s"
        logger.info("HEALED burst={} whole={} up={}", number, recovery.whole_s, up)
        for complaint in recovery.complaints:
            logger.error("COMPLAINT burst={} {}", number, complaint)
        self.bursts.append(Burst(number=number, done=tuple(done), recovery=recovery))


def heal(house: House) -> None:
    """Every fault is over, every process runs."""
    for exchange in house.exchanges.values():
        exchange.ensure()
    house.proxy.heal()
    house.resume()
    for exchange in house.exchanges.values():
        exchange.control("clear")
    release_stuck(house)
    house.keep_alive()
