"""Actors and messages made for being killed."""

from __future__ import annotations

import queue
import threading
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, ClassVar

from actors.guard import ActorContext, GuardedActor

WAIT_S = 20.0
"""Longer than anything a test waits for; only a failing test waits that long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """An ordinary command."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """An urgent command."""

    urgent: ClassVar[bool] = True
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Conflates by symbol; a range is kept."""

    symbol: str
    last: int
    low: int
    high: int

    @property
    def conflate_key(self) -> str:
        return self.symbol

    def merge(self, older: Price) -> Price:
        return Price(symbol=self.symbol, last=self.last, low=min(self.low, older.low), high=max(self.high, older.high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Conflates without merging: the newest remains."""

    number: int

    @property
    def conflate_key(self) -> str:
        return "snapshot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Raise:
    """Raise this in the handler."""

    error: BaseException


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Wait in the handler until the gate is opened."""

    gate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """End by own decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send a note on."""

    to: str
    text: str


class Gates:
    """Named events; each tells when somebody stands before it."""

    def __init__(self) -> None:
        self._gates: dict[str, tuple[threading.Event, threading.Event]] = defaultdict(
            lambda: (threading.Event(), threading.Event())
        )

    def pass_through(self, name: str) -> None:
        entered, opened = self._gates[name]
        entered.set()
        opened.wait(WAIT_S * 2)

    def wait_entered(self, name: str) -> None:
        assert self._gates[name][0].wait(WAIT_S), f"nobody came to the gate {name}"

    def open(self, name: str) -> None:
        self._gates[name][1].set()

    def open_all(self) -> None:
        for name in list(self._gates):
            self.open(name)


class Journal:
    """What specimens did, in order, as (name, incarnation, what)."""

    def __init__(self) -> None:
        self.gates = Gates()
        self._lines: queue.SimpleQueue[tuple[str, int, str]] = queue.SimpleQueue()
        self.start_errors: dict[str, list[BaseException | None]] = defaultdict(list)
        """For each name: what its next starts raise."""

    def write(self, actor: GuardedActor, what: str) -> None:
        self._lines.put((actor.name, actor.incarnation, what))

    def read(self) -> tuple[str, int, str]:
        return self._lines.get(timeout=WAIT_S)

    def read_all(self) -> list[tuple[str, int, str]]:
        lines = []
        while not self._lines.empty():
            lines.append(self._lines.get())
        return lines


class Specimen(GuardedActor):
    """Does as it is told and writes it down."""

    def __init__(self, context: ActorContext, journal: Journal, *, stop_error: BaseException | None = None) -> None:
        super().__init__(context)
        self.journal = journal
        self.stop_error = stop_error

    def started(self) -> None:
        errors = self.journal.start_errors[self.name]
        error = errors.pop(0) if errors else None
        if error is not None:
            raise error
        self.journal.write(self, "started")

    def receive(self, message: Any) -> object:
        match message:
            case Note(text=text) | Alarm(text=text):
                self.journal.write(self, text)
                return text
            case Price(symbol=symbol, last=last, low=low, high=high):
                self.journal.write(self, f"{symbol} {last} {low} {high}")
            case Snapshot(number=number):
                self.journal.write(self, f"snapshot {number}")
            case Raise(error=error):
                raise error
            case Block(gate=gate):
                self.journal.gates.pass_through(gate)
                self.journal.write(self, f"passed {gate}")
            case Finish():
                self.stop()
            case Send(to=to, text=text):
                return self.tell(to, Note(text=text))
            case _:
                return super().receive(message)
        return None

    def stopping(self) -> None:
        self.journal.write(self, "stopping")
        if self.stop_error is not None:
            raise self.stop_error
