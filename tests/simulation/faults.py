"""The faults there are, when they strike, and at which step of a position's life they did.

A fault has opportunities: each time it could strike, it is asked. `Swarm` lets each of a random subset strike with a
chance of its own; `Nth` lets one strike at its n-th opportunity and nothing else ever. Both count by class and step.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum


class Fault(StrEnum):
    """Classes of faults; the number in LAWS 'Faults to survive' stands behind each group."""

    PROCESS_KILLED = "process killed"  # 1
    ACTOR_EXCEPTION = "actor dies by an exception"  # 2
    ACTOR_EXIT = "actor exits"
    ACTOR_HANG = "actor hangs"
    PROCESS_PAUSED = "process paused"  # 3
    STARVED = "thread starved"
    REQUEST_LOST = "request lost"  # 4
    REPLY_LOST = "reply lost"
    REQUEST_LATE = "request past the receive window"
    REFUSED_CONNECTION = "connection refused"  # 5
    REPLY_SLOW = "reply slow"
    REST_DEAD = "REST dead, streams live"
    STREAMS_DEAD = "streams dead, REST lives"
    NEWS_DOUBLED = "stream message doubled"  # 6
    NEWS_LATE = "stream message late"
    NEWS_MISSING = "stream message missing"
    STREAM_SILENT = "stream silent"
    STREAM_CUT = "stream cut"
    FILL_BEFORE_REPLY = "fill before its acknowledgement"
    STALE_READING = "stale snapshot"  # 7
    MISSING_ROW = "snapshot without a row"
    EMPTY_LIST = "empty list of orders"
    FAILED_PAGE = "part of a snapshot fails"
    DENIED = "'no such order' though there is one"
    SERVER_ERROR = "5xx"  # 8
    TIMEOUT_CODE = "-1007"
    RATE_LIMIT = "429"
    CLOCK_CODE = "-1021"
    STOP_WOULD_TRIGGER = "stop refused: would trigger"  # 9
    STOP_LIMIT = "stop refused: too many"
    STOP_MARGIN = "stop refused: margin"
    EXIT_REFUSED = "exit refused"
    ENTRY_REFUSED = "entry refused: margin"
    STOP_EXPIRED = "stop expired"
    STOP_STUCK = "stop stuck in TRIGGERING"
    STOP_REJECTED = "stop rejected at its trigger"
    STOP_PART = "triggered stop filled in part"
    PART_FILL = "filled in parts"  # 10
    HUMAN_CLOSE = "a human closes"
    HUMAN_HALVE = "a human halves"
    HUMAN_DOUBLE = "a human doubles"
    HUMAN_FLIP = "a human flips"
    HUMAN_CANCEL = "a human cancels our stop"
    HUMAN_OPEN = "a human opens"
    DATABASE_AWAY = "database away"  # 11
    DATABASE_SLOW = "database slow"
    COMMIT_UNKNOWN = "database gone in a commit"
    CLOCK_STEP = "clock stepped"  # 12
    SIGNAL_DOUBLED = "signal doubled"  # 15
    SIGNAL_MALFORMED = "signal malformed"
    SIGNAL_STALE = "signal stale"
    PRICE_FROZEN = "prices frozen"  # 16
    PRICE_WILD = "one wild price"
    PRICE_GAP = "price gaps"


class Step(StrEnum):
    """Where the position concerned is in the protocol."""

    NOBODY = "no position"
    DECIDED = "entry decided"
    ENTRY_SENT = "entry under way"
    ENTRY_KNOWN = "entry accepted"
    FIRST_STOP = "first stop under way"
    COVERED = "covered"
    MOVING = "move: new stop under way"
    CANCELLING = "move: old stop under way"
    EXITING = "exit under way"
    TRIGGERED = "stop triggered"
    SETTLING = "flat, being settled"
    BARE = "open without a stop"


Matrix = Counter[tuple[Fault, Step]]


class Faults:
    """When faults strike. Nothing strikes any more once `healed`."""

    def __init__(self) -> None:
        self.struck: Matrix = Counter()
        self.healed = False
        self.step_of: Callable[[str | None], Step] = lambda _: Step.NOBODY
        self.told: Callable[[Fault, str | None], object] = lambda _fault, _symbol: None

    def strikes(self, fault: Fault, symbol: str | None = None) -> bool:
        """Whether it strikes now; counted if it does. `symbol`: whose position it hits, None for any."""
        if self.healed or not self._chosen(fault):
            return False
        self.count(fault, symbol)
        return True

    def turn(self, chances: Mapping[Fault, float]) -> None:
        """Nothing is healed any more: from now on these may strike."""
        raise NotImplementedError

    def has(self, fault: Fault) -> bool:
        """Whether it can strike at all."""
        raise NotImplementedError

    def share(self, fault: Fault) -> int:
        """For a fault that somebody else draws: in how many of a hundred cases it strikes."""
        return 0

    def count(self, fault: Fault, symbol: str | None = None) -> None:
        """Note that a fault struck, also one that arose by itself."""
        self.struck[fault, self.step_of(symbol)] += 1
        self.told(fault, symbol)

    def _chosen(self, fault: Fault) -> bool:
        raise NotImplementedError


class Swarm(Faults):
    """Each fault of a subset strikes with a chance of its own."""

    def __init__(self, chances: Mapping[Fault, float], chance: random.Random) -> None:
        super().__init__()
        self._chances = dict(chances)
        self._chance = chance

    def turn(self, chances: Mapping[Fault, float]) -> None:
        """See `Faults`."""
        self._chances = dict(chances)
        self.healed = False

    def has(self, fault: Fault) -> bool:
        """See `Faults`."""
        return fault in self._chances

    def share(self, fault: Fault) -> int:
        """See `Faults`."""
        return round(100 * self._chances.get(fault, 0.0))

    def _chosen(self, fault: Fault) -> bool:
        likely = self._chances.get(fault)
        return likely is not None and self._chance.random() < likely


class Nth(Faults):
    """One fault strikes at its n-th opportunity (from 1); n = 0 only counts the opportunities."""

    def __init__(self, fault: Fault, number: int) -> None:
        super().__init__()
        self._fault = fault
        self._number = number
        self.opportunities = 0

    def has(self, fault: Fault) -> bool:
        """See `Faults`."""
        return fault is self._fault

    def _chosen(self, fault: Fault) -> bool:
        if fault is not self._fault:
            return False
        self.opportunities += 1
        return self.opportunities == self._number


# How likely a fault is at one opportunity, when it is in a schedule's subset at all: about once in a schedule.
USUAL: Mapping[Fault, float] = {
    Fault.PROCESS_KILLED: 0.02,
    Fault.ACTOR_EXCEPTION: 0.06,
    Fault.ACTOR_EXIT: 0.06,
    Fault.ACTOR_HANG: 0.06,
    Fault.PROCESS_PAUSED: 0.04,
    Fault.STARVED: 0.01,
    Fault.REQUEST_LOST: 0.06,
    Fault.REPLY_LOST: 0.06,
    Fault.REQUEST_LATE: 0.06,
    Fault.REFUSED_CONNECTION: 0.06,
    Fault.REPLY_SLOW: 0.1,
    Fault.REST_DEAD: 0.03,
    Fault.STREAMS_DEAD: 0.03,
    Fault.NEWS_DOUBLED: 0.15,
    Fault.NEWS_LATE: 0.15,
    Fault.NEWS_MISSING: 0.1,
    Fault.STREAM_SILENT: 0.02,
    Fault.STREAM_CUT: 0.02,
    Fault.STALE_READING: 0.3,
    Fault.MISSING_ROW: 0.2,
    Fault.EMPTY_LIST: 0.2,
    Fault.FAILED_PAGE: 0.2,
    Fault.DENIED: 0.9,  # an order that is asked for by name so soon is rare
    Fault.SERVER_ERROR: 0.06,
    Fault.TIMEOUT_CODE: 0.06,
    Fault.RATE_LIMIT: 0.05,
    Fault.CLOCK_CODE: 0.05,
    Fault.STOP_WOULD_TRIGGER: 0.15,
    Fault.STOP_LIMIT: 0.25,
    Fault.STOP_MARGIN: 0.25,
    Fault.EXIT_REFUSED: 0.3,
    Fault.ENTRY_REFUSED: 0.3,
    Fault.STOP_EXPIRED: 0.03,
    Fault.STOP_STUCK: 0.5,
    Fault.STOP_REJECTED: 0.5,
    Fault.STOP_PART: 0.5,
    Fault.PART_FILL: 0.5,
    Fault.HUMAN_CLOSE: 0.03,
    Fault.HUMAN_HALVE: 0.04,
    Fault.HUMAN_DOUBLE: 0.04,
    Fault.HUMAN_FLIP: 0.03,
    Fault.HUMAN_CANCEL: 0.04,
    Fault.HUMAN_OPEN: 0.02,
    Fault.DATABASE_AWAY: 0.04,
    Fault.DATABASE_SLOW: 0.2,
    Fault.COMMIT_UNKNOWN: 0.04,
    Fault.CLOCK_STEP: 0.03,
    Fault.SIGNAL_DOUBLED: 0.4,
    Fault.SIGNAL_MALFORMED: 0.3,
    Fault.SIGNAL_STALE: 0.3,
    Fault.PRICE_FROZEN: 0.02,
    Fault.PRICE_WILD: 0.03,
    Fault.PRICE_GAP: 0.02,
}
