"""Mailboxes: two lanes, conflation of what only the newest matters of, and a backlog for actors that are away.

Rules of this file:
- It knows nothing of pykka: an envelope is anything with `message` and `reply_to`.
- A message class may declare `urgent = True` (overtakes), a property `conflate_key` (of two waiting tells with the
  same key one remains, at the place of the older: the newer, or `newer.merge(older)` where the class defines it) and
  `perishable = True` (for this incarnation only) and `lasting = True` (waits for a successor beyond the limit of a
  backlog: a record is not lost because its writer is away). An ask is never conflated: its sender waits for it.
- The order of one sender's messages within a lane is kept.
- No Python-level lock on the way of an ordinary message: `queue.SimpleQueue` and `deque` are atomic in C (ACTORS 4.2).
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple, Protocol


class Envelope(Protocol):
    """A message on its way; `reply_to` is None for a tell."""

    message: Any
    reply_to: Any


class InboxClosedError(Exception):
    """The inbox was closed while its reader waited, and nothing is left in it."""


class Traits(NamedTuple):
    """What a message class declares."""

    urgent: bool
    conflates: bool
    merges: bool
    perishable: bool
    lasting: bool


LASTING = 50
"""A bound for what must not be lost: minutes of records of a thousand positions."""
_TRAITS: dict[type, Traits] = {}


def traits_of(message: object) -> Traits:
    """What the class of the message declares (read once for each class)."""
    kind = type(message)
    known = _TRAITS.get(kind)
    if known is None:
        known = _TRAITS[kind] = Traits(
            urgent=getattr(kind, "urgent", False) is True,
            conflates=hasattr(kind, "conflate_key"),
            merges=hasattr(kind, "merge"),
            perishable=getattr(kind, "perishable", False) is True,
            lasting=getattr(kind, "lasting", False) is True,
        )
    return known


def conflate_key(message: Any) -> Hashable | None:
    """Under which key the message conflates; None: not at all."""
    if not traits_of(message).conflates:
        return None
    key: Hashable | None = message.conflate_key
    return key


def conflated(newer: Any, older: object) -> object:
    """What remains of two waiting messages with the same key."""
    return newer.merge(older) if traits_of(newer).merges else newer


class Inbox:
    """The mailbox of one actor: any thread puts, the actor's thread gets, any one thread may close it."""

    def __init__(self, *, stop_type: type) -> None:
        """`stop_type` is the class of the message that ends the actor."""
        self._stop_type = stop_type
        self._urgent: deque[Envelope] = deque()
        self._ordinary: deque[Envelope] = deque()
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._slots: dict[Hashable, Envelope] = {}
        self._slots_lock = threading.Lock()
        self._closed = False
        self.stop_overtakes = True
        """Whether a stop is handled before what waits already."""
        self.current: Envelope | None = None
        """What the reader got last."""
        self.late: Callable[[Envelope], None] | None = None
        """Receives what is put after the inbox was closed."""

    def put(self, envelope: Envelope, /) -> None:
        """Add a message. Never blocks. What comes after the closing goes to `late`."""
        lane = self._ordinary
        try:
            message = envelope.message
        except AttributeError:
            # Not an envelope: let the reader fail on it, as pykka's own inbox would.
            lane.append(envelope)
        else:
            traits = traits_of(message)
            if traits.urgent or (self.stop_overtakes and type(message) is self._stop_type):
                lane = self._urgent
            if traits.conflates and envelope.reply_to is None and (key := message.conflate_key) is not None:
                with self._slots_lock:
                    waiting = self._slots.get(key)
                    if waiting is not None:
                        waiting.message = conflated(message, waiting.message)
                        return
                    self._slots[key] = envelope
                    lane.append(envelope)
            else:
                lane.append(envelope)
        self._tokens.put(None)
        # The closer sets the flag before it empties the lanes: either it sees this envelope, or the flag is seen here.
        if self._closed:
            for left in self._drain():
                if self.late is not None:
                    self.late(left)

    def get(self) -> Envelope:
        """Wait for the next message: urgent ones first.

        Raises:
            InboxClosedError: when the inbox is closed and empty.
        """
        while True:
            self._tokens.get()
            try:
                self.current = self._pop()
            except IndexError:
                # A token whose message was taken by the closer.
                if self._closed:
                    raise InboxClosedError from None
            else:
                return self.current

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._urgent and not self._ordinary

    def depth(self) -> int:
        """How many messages wait."""
        return len(self._urgent) + len(self._ordinary)

    def close(self) -> list[Envelope]:
        """Take what is left, in the order in which it would have been read, and refuse what comes. Wakes the reader."""
        self._closed = True
        left = self._drain()
        self._tokens.put(None)
        return left

    def _pop(self) -> Envelope:
        """Take the next message, or raise IndexError."""
        try:
            envelope = self._urgent.popleft()
        except IndexError:
            envelope = self._ordinary.popleft()
        if self._slots:
            self._release(envelope)
        return envelope

    def _release(self, envelope: Envelope) -> None:
        """Take a conflating envelope out of its slot, so that the next message with its key gets a place of its own."""
        key = conflate_key(getattr(envelope, "message", None))
        if key is not None:
            with self._slots_lock:
                if self._slots.get(key) is envelope:
                    del self._slots[key]

    def _drain(self) -> list[Envelope]:
        left: list[Envelope] = []
        while True:
            try:
                left.append(self._pop())
            except IndexError:
                return left


class Backlog:
    """Messages for a name whose actor is being restarted; the caller locks."""

    def __init__(self, limit: int) -> None:
        """At most `limit` messages are kept, of lasting ones `LASTING` times as many."""
        self._limit = limit
        self._messages: list[object] = []
        self._places: dict[Hashable, int] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self._messages)

    def add(self, message: object) -> bool:
        """Keep a message at the end, conflated where it can be; False if there is no room."""
        key = conflate_key(message)
        place = self._places.get(key) if key is not None else None
        if place is not None:
            self._messages[place] = conflated(message, self._messages[place])
            return True
        limit = self._limit * LASTING if traits_of(message).lasting else self._limit
        if len(self._messages) >= limit:
            return False
        if key is not None:
            self._places[key] = len(self._messages)
        self._messages.append(message)
        return True

    def put_before(self, older: Iterable[object]) -> list[object]:
        """Keep older messages in front of those here; returns what found no room."""
        return [message for message in (*older, *self.take()) if not self.add(message)]

    def take(self) -> list[object]:
        """Take all, in order."""
        messages, self._messages = self._messages, []
        self._places.clear()
        return messages
