"""What can be made to go wrong at the venue, when, and to what: the plan of faults, the same for every dialect.

A fault is ordered through `/control/<fault>` (see `control`) and waits for happenings that its aim fits. Fields that
every order may carry:
    path     the end of a REST path, the event or topic of a stream's frame, or the type of an order; "*" is any
    method   of a REST request, "*" is any; POST unless given, GET for what changes answers only
    symbol   the same as where={"symbol": ...}
    where    {parameter: value}: every one must fit; "*" = it is there, "" = it is not. Parameters are those of a
             request (query, form or JSON), of a frame {symbol, status, client_id}, of an order
             {symbol, side, position_side, client_id, reduce_only}
    next     how often it strikes: once unless given, without end if for_ms is given
    for_ms   how long it waits for its chance
    percent  the share of fitting happenings that it strikes, drawn from the exchange's seed
    skip     so many fitting happenings pass first

On a REST request (any number of the last four, and one of the others, may strike together):
    drop_request {}                  connection reset, nothing done
    drop_reply {}                    done, then connection reset
    hang {acted}                     done or not, no answer; the connection stays open
    reject {code, msg?, status?, acted?, retry_after_s?}   the venue's own error, in its own words if msg is not given
    http {status, text?, acted?, retry_after_s?}           an answer that is not JSON: a proxy's, a maintenance page
    delay {before_ms?, after_ms?}    late to act (the receive window may pass), late to answer
    stale {ms}                       answered from the state of `ms` ago
    hide {ms}                        orders younger than `ms` are not known yet to queries
    rows {drop}                      "all", or so many of the last rows, are missing from a list; status 200
On streams:
    refuse_stream {}                 opening a WebSocket ends in a reset
    lose {} double {ms?} late {ms} reorder {ms?} garble {}      done to frames; reorder lets the next one go first
In the engine:
    spoil {}                         a conditional is accepted, then rejected at its trigger
    stick {}                         it stays in TRIGGERING, until `release`
    part {}                          it triggers and is filled to the smallest step, the rest expires
    cling {}                         what dies with its position (attached, close-position) outlives it
    hold_fill {ms}                   a market order is acknowledged now and filled `ms` later (to the next 250 ms)
    cut_fill {share}                 a market order is filled to `share` percent, the rest expires

Each strike is a line of the timeline: {"kind": "struck", "fault": number, "what", "name", "method", "params"}.
"""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final
from urllib.parse import parse_qsl

from adapters.paper_exchange.wire import Rejection, WireRequest


class Stage(StrEnum):
    """Where something can go wrong."""

    REQUEST = "request"
    CONNECT = "connect"
    FRAME = "frame"
    TRIGGER = "trigger"
    FILL = "fill"
    END = "end"


class Fault(StrEnum):
    """What can go wrong."""

    DROP_REQUEST = "drop_request"
    DROP_REPLY = "drop_reply"
    HANG = "hang"
    REJECT = "reject"
    HTTP = "http"
    DELAY = "delay"
    STALE = "stale"
    HIDE = "hide"
    ROWS = "rows"
    REFUSE_STREAM = "refuse_stream"
    LOSE = "lose"
    DOUBLE = "double"
    LATE = "late"
    REORDER = "reorder"
    GARBLE = "garble"
    SPOIL = "spoil"
    STICK = "stick"
    PART = "part"
    CLING = "cling"
    HOLD_FILL = "hold_fill"
    CUT_FILL = "cut_fill"

    @property
    def stage(self) -> Stage:
        """Where it strikes."""
        return _STAGES.get(self, Stage.REQUEST)

    @property
    def is_alone(self) -> bool:
        """True for the faults of which only one can befall the same happening."""
        return self not in _SHAPING

    @property
    def method(self) -> str:
        """The HTTP method that it is meant for when the order names none."""
        if self.stage is not Stage.REQUEST:
            return "*"
        return "GET" if self in (Fault.STALE, Fault.HIDE, Fault.ROWS) else "POST"


_SHAPING: Final = frozenset({Fault.DELAY, Fault.STALE, Fault.HIDE, Fault.ROWS})
_STAGES: Final = {
    Fault.REFUSE_STREAM: Stage.CONNECT,
    **dict.fromkeys((Fault.LOSE, Fault.DOUBLE, Fault.LATE, Fault.REORDER, Fault.GARBLE), Stage.FRAME),
    **dict.fromkeys((Fault.SPOIL, Fault.STICK, Fault.PART), Stage.TRIGGER),
    Fault.CLING: Stage.END,
    **dict.fromkeys((Fault.HOLD_FILL, Fault.CUT_FILL), Stage.FILL),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that a fault may befall: a request, a frame, a trigger, a fill."""

    stage: Stage
    name: str
    method: str = ""
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What a fault is meant for."""

    name: str = "*"
    method: str = "*"
    where: Mapping[str, str] = field(default_factory=dict)

    def fits(self, happening: Happening) -> bool:
        """True for a happening that is meant."""
        named = happening.name
        return (
            (self.name in ("*", named) or named.endswith("/" + self.name) or named.startswith(self.name + "."))
            and self.method in ("*", happening.method)
            and all(_agree(asked, happening.values.get(name, "")) for name, asked in self.where.items())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """A fault that waits for its chances; `left` is None for any number, `until` (true time in ms) None for ever.

    The rest is what some faults need to know: how late, how much, with what words.
    """

    fault: Fault
    aim: Aim
    left: int | None = 1
    until: int | None = None
    percent: int = 100
    skip: int = 0
    number: int = 0
    struck: int = 0
    acted: bool = False
    before_ms: int = 0
    after_ms: int = 0
    ms: int = 0
    share: int = 0
    drop: int | None = None
    status: int = 0
    retry_after_s: int | None = None
    text: str = ""
    rejection: Rejection | None = None

    def is_over(self, now: int) -> bool:
        """True once it can strike no more."""
        return self.left == 0 or (self.until is not None and now >= self.until)


class FaultPlan:
    """The faults that wait. `note` hears of every strike before it has an effect."""

    def __init__(self, clock: Callable[[], int], seed: int, note: Callable[[Ordered, Happening], None]) -> None:
        self._clock = clock
        self._note = note
        self._draws = random.Random(f"{seed}:faults")
        self._waiting: list[Ordered] = []
        self._numbers = 0

    def order(self, ordered: Ordered) -> Ordered:
        """Let a fault wait for its chance; returns it with its number."""
        self._numbers += 1
        numbered = replace(ordered, number=self._numbers)
        self._waiting.append(numbered)
        return numbered

    def waiting(self) -> list[Ordered]:
        """The faults that may still strike, oldest first."""
        now = self._clock()
        self._waiting = [ordered for ordered in self._waiting if not ordered.is_over(now)]
        return list(self._waiting)

    def clear(self, number: int | None = None) -> int:
        """Call off one fault or all; returns how many there were."""
        waiting = self.waiting()
        self._waiting = [ordered for ordered in waiting if number not in (None, ordered.number)]
        return len(waiting) - len(self._waiting)

    def expects(self, stage: Stage) -> bool:
        """True if a fault waits for happenings of this stage."""
        return any(ordered.fault.stage is stage for ordered in self._waiting)

    def strikes(self, happening: Happening) -> list[Ordered]:
        """The faults that befall this happening; each is used up by one."""
        if not self.expects(happening.stage):
            return []
        struck: list[Ordered] = []
        for place, ordered in enumerate(self.waiting()):
            if ordered.fault.stage is not happening.stage or not ordered.aim.fits(happening):
                continue
            if ordered.fault.is_alone and any(other.fault.is_alone for other in struck):
                continue
            if ordered.skip:
                self._waiting[place] = replace(ordered, skip=ordered.skip - 1)
                continue
            if ordered.percent < 100 and self._draws.randrange(100) >= ordered.percent:
                continue
            left = None if ordered.left is None else ordered.left - 1
            self._waiting[place] = replace(ordered, left=left, struck=ordered.struck + 1)
            self._note(ordered, happening)
            struck.append(ordered)
        return struck

    def strike(self, happening: Happening) -> Ordered | None:
        """The one fault that befalls this happening, None if none does."""
        struck = self.strikes(happening)
        return struck[0] if struck else None


def happening_of_request(request: WireRequest) -> Happening:
    """What a fault can aim at in a REST request of any dialect: parameters of query, form and JSON body."""
    values = dict(parse_qsl(request.query, keep_blank_values=True))
    values |= _json_values(request.body) if request.body.startswith("{") else dict(parse_qsl(request.body))
    return Happening(stage=Stage.REQUEST, name=request.path, method=request.method, values=values)


def happening_of_frame(text: str) -> Happening | None:
    """What a fault can aim at in a frame; None for what is no event (answers to subscriptions, pongs)."""
    try:
        frame = json.loads(text)
    except ValueError:
        return None
    if isinstance(frame, dict) and "stream" in frame:
        frame = frame.get("data")
    row = _first(frame)
    name = row.get("e") or row.get("topic")
    if not isinstance(name, str) or not name:
        return None
    inner = next((_first(row[key]) for key in ("o", "data") if isinstance(row.get(key), dict | list)), row)
    if isinstance(row.get("a"), dict):
        inner = _first(row["a"].get("P"))
    symbol = inner.get("s") or inner.get("symbol") or row.get("s") or row.get("symbol") or ""
    values = {
        "symbol": str(symbol),
        "status": str(inner.get("X") or inner.get("orderStatus") or ""),
        "client_id": str(inner.get("caid") or inner.get("c") or inner.get("orderLinkId") or ""),
    }
    return Happening(stage=Stage.FRAME, name=name, values=values)


def _agree(asked: str, value: str) -> bool:
    return bool(value) if asked == "*" else asked == value


def _json_values(body: str) -> dict[str, str]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}


def _first(value: Any) -> dict[str, Any]:
    """The object itself or the first of a list of them, an empty one if there is none."""
    if isinstance(value, list):
        value = value[0] if value else None
    return value if isinstance(value, dict) else {}
