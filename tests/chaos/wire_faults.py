"""What can go wrong between the service and an exchange, when, and to what: the fault proxy's plan.

An order is a JSON object: {"what": name, "route": account, …}. Fields that every fault of a request may carry:
    path     the end of a request's path; "*" is any
    method   "*" is any
    symbol   of the request's query, form or JSON body
    next     how often it strikes: once unless given, without end if for_ms is given
    for_ms   how long it waits for its chance
    percent  the share of fitting requests that it strikes
Faults of one request:
    lose {}                 never arrives; connection reset
    swallow {}              carried out, the reply is lost; connection reset
    blackhole {}            never arrives, no answer: a half-open connection
    mute {}                 carried out, no answer
    delay {before_ms?, after_ms?}   late to arrive (the receive window may pass), late to come back
    drip {ms}               the reply comes in small pieces over so long
    break_off {}            half of the reply, then reset
    garble {}               half of the reply's JSON, in a message that looks whole
    balancer {status, acted?, retry_after_s?}   a load balancer's page instead of an answer, carried out or not
    twice {}                arrives twice; the second answer comes back
Faults of the line; they begin at once:
    refuse {for_ms}         every connection breaks, new ones are refused
    cut_rest {for_ms}       the same for requests alone: streams live on
    cut_streams {for_ms}    the same for streams alone: requests live on
    freeze_streams {for_ms} streams stay open and carry nothing, pongs included
    garble_streams {}       the next frame of every stream is no text
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any


class What(StrEnum):
    """What goes wrong."""

    LOSE = "lose"
    SWALLOW = "swallow"
    BLACKHOLE = "blackhole"
    MUTE = "mute"
    DELAY = "delay"
    DRIP = "drip"
    BREAK_OFF = "break_off"
    GARBLE = "garble"
    BALANCER = "balancer"
    TWICE = "twice"
    REFUSE = "refuse"
    CUT_REST = "cut_rest"
    CUT_STREAMS = "cut_streams"
    FREEZE_STREAMS = "freeze_streams"
    GARBLE_STREAMS = "garble_streams"

    @property
    def of_line(self) -> bool:
        """Whether it befalls connections and not one request."""
        return self in _OF_LINE


_OF_LINE = frozenset({What.REFUSE, What.CUT_REST, What.CUT_STREAMS, What.FREEZE_STREAMS, What.GARBLE_STREAMS})


class BadOrder(Exception):
    """An order that cannot be carried out; the text names field, value and rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireFault:
    """A fault that waits for its chances; `left` None is any number, `until` (ms of wall time) None for ever."""

    what: What
    route: str
    path: str = "*"
    method: str = "*"
    symbol: str = ""
    left: int | None = 1
    until: int | None = None
    percent: int = 100
    before_ms: int = 0
    after_ms: int = 0
    ms: int = 0
    status: int = 503
    acted: bool = False
    retry_after_s: int | None = None
    number: int = 0

    def fits(self, route: str, method: str, path: str, symbol: str) -> bool:
        """Whether this request is meant."""
        return (
            route == self.route
            and self.method in ("*", method)
            and (self.path == "*" or path.endswith(self.path))
            and self.symbol in ("", symbol)
        )


@dataclass(slots=True, kw_only=True)
class Strike:
    """A fault befell something: from `at` to `until` (ms of wall time). `symbol` empty: it named none."""

    what: What
    route: str
    at: int
    until: int
    method: str = ""
    path: str = ""
    symbol: str = ""


class WirePlan:
    """The faults that wait, and what has struck so far."""

    def __init__(self, seed: int) -> None:
        self._draws = random.Random(f"{seed}:wire")
        self._waiting: list[WireFault] = []
        self._numbers = 0
        self.strikes: list[Strike] = []

    def order(self, asked: Mapping[str, Any], routes: frozenset[str]) -> WireFault:
        """Take an order. Raises BadOrder."""
        fault = read_order(asked, routes)
        self._numbers += 1
        fault = replace(fault, number=self._numbers)
        if not fault.what.of_line:
            self._waiting.append(fault)
        return fault

    def clear(self) -> int:
        """Call off what waits; returns how many there were."""
        waiting = len(self._waiting)
        self._waiting = []
        return waiting

    def strike(self, route: str, method: str, path: str, symbol: str) -> WireFault | None:
        """The fault that befalls this request, None if none does."""
        now = now_ms()
        self._waiting = [f for f in self._waiting if f.left != 0 and (f.until is None or now < f.until)]
        for place, fault in enumerate(self._waiting):
            if not fault.fits(route, method, path, symbol) or self._draws.randrange(100) >= fault.percent:
                continue
            self._waiting[place] = replace(fault, left=None if fault.left is None else fault.left - 1)
            return fault
        return None

    def note(self, fault: WireFault, method: str = "", path: str = "", symbol: str = "") -> Strike:
        """It strikes; `until` of what is returned is set once it is over."""
        at = now_ms()
        struck = Strike(what=fault.what, route=fault.route, at=at, until=at, method=method, path=path, symbol=symbol)
        self.strikes.append(struck)
        return struck


def read_order(asked: Mapping[str, Any], routes: frozenset[str]) -> WireFault:
    """An order as it came. Raises BadOrder."""
    known = {"do", "what", "route", "path", "method", "symbol", "next", "for_ms", "percent"} | {
        "before_ms", "after_ms", "ms", "status", "acted", "retry_after_s",
    }  # fmt: skip
    strange = sorted(set(asked) - known)
    if strange:
        raise BadOrder(f"{', '.join(strange)}: unknown, choose from {', '.join(sorted(known))}")
    if asked.get("what") not in [what.value for what in What]:
        raise BadOrder(f"what={asked.get('what')!r}: must be one of {', '.join(what.value for what in What)}")
    what = What(asked["what"])
    if asked.get("route") not in routes:
        raise BadOrder(f"route={asked.get('route')!r}: must be one of {', '.join(sorted(routes))}")
    numbers = {n: _whole(asked, n) for n in ("next", "for_ms", "percent", "before_ms", "after_ms", "ms", "status")}
    waits = numbers["for_ms"] is not None
    if what.of_line and what is not What.GARBLE_STREAMS and not waits:
        raise BadOrder(f"for_ms: {what} needs it")
    left = numbers["next"] if numbers["next"] is not None else None if waits else 1
    return WireFault(
        what=what,
        route=str(asked["route"]),
        path=str(asked.get("path", "*")),
        method=str(asked.get("method", "*")).upper(),
        symbol=str(asked.get("symbol", "")),
        left=left,
        until=now_ms() + (numbers["for_ms"] or 0) if waits else None,
        percent=100 if numbers["percent"] is None else numbers["percent"],
        before_ms=numbers["before_ms"] or 0,
        after_ms=numbers["after_ms"] or 0,
        ms=numbers["ms"] or 0,
        status=numbers["status"] or 503,
        acted=bool(asked.get("acted", False)),
        retry_after_s=_whole(asked, "retry_after_s"),
    )


def now_ms() -> int:
    """Wall time, which is the exchange's time."""
    return time.time_ns() // 1_000_000


def _whole(asked: Mapping[str, Any], name: str) -> int | None:
    value = asked.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadOrder(f"{name}={value!r}: must be a whole number, not negative")
    return value
