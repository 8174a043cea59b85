"""The directory: which actor answers to a name now. The only way in which actors reach each other.

Rules of this file:
- A name outlives its actors. Who has died and will be restarted keeps its seat: messages wait for the successor.
- `tell` never raises and never blocks: what reaches nobody is a dead letter, counted and kept in a bounded list.
- Incarnations come from here, grow, and are never used twice; the older never unseats the newer.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pykka
from loguru import logger

from actors.inbox import Backlog, traits_of

Heir = Callable[[Sequence[object]], Sequence[object]]
"""Gets what waits for somebody who will never be there again; gives back what it does not take. Must not raise."""

BACKLOG_LIMIT = 1000
"""Commands kept for one name while its actor is away."""

DEAD_LETTERS_KEPT = 200

DEAD_LETTER_LOG_EVERY_S = 10.0


class Unavailable(Exception):
    """No living actor has this name at the moment."""


class Unanswered(TimeoutError):
    """The actor did not answer in time; it may still handle the message later."""


class StaleIncarnationError(Exception):
    """An older incarnation tried to take the place of a newer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that reached nobody."""

    name: str
    message_type: str
    reason: str
    monotonic: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned:
    """A thread that hung, was fenced off and replaced, and has not ended yet."""

    name: str
    incarnation: int
    thread: threading.Thread
    since: float
    stack: str = field(repr=False)


@dataclass(slots=True, kw_only=True)
class _Seat:
    """The place of one name: `ref` is None while nobody sits there."""

    ref: pykka.ActorRef[Any] | None
    incarnation: int
    keep: bool
    backlog: Backlog


class Directory:
    """Thread-safe table of name -> current actor."""

    def __init__(self, *, first_incarnation: int = 1, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Incarnations of every name begin at `first_incarnation`."""
        self._first_incarnation = first_incarnation
        self._monotonic = monotonic
        # Re-entrant: delivering to an actor that dies meanwhile comes back here through its inbox.
        self._lock = threading.RLock()
        self._seats: dict[str, _Seat] = {}
        self._incarnations: dict[str, int] = {}
        self._dead_letters: deque[DeadLetter] = deque(maxlen=DEAD_LETTERS_KEPT)
        self._dead_counts: Counter[str] = Counter()
        self._dead_logged_at: float | None = None
        self._dead_unlogged = 0
        self._abandoned: list[Abandoned] = []
        self._heirs: dict[str, Heir] = {}

    def tell(self, name: str, message: object) -> bool:
        """Send without waiting. True: it is in the mailbox, or kept for the successor. False: it is a dead letter."""
        seat = self._seats.get(name)
        if seat is not None and (ref := seat.ref) is not None:
            try:
                ref.tell(message)
            except pykka.ActorDeadError:
                return self._tell_absent(name, message)
            return True
        return self._tell_absent(name, message)

    def ask(self, name: str, message: object, timeout: float) -> Any:
        """Send and wait up to `timeout` seconds for the answer.

        Raises:
            Unavailable: no living actor has the name, or it died before it answered.
            Unanswered: no answer in time; the message may be handled later all the same.
            Exception: whatever the handler raised.
        """
        ref = self.ref(name)
        if ref is None:
            raise Unavailable(f"no living actor is named {name!r}")
        future = ref.ask(message, block=False)
        try:
            return future.get(timeout=timeout)
        except pykka.Timeout:
            raise Unanswered(f"{name!r} did not answer {type(message).__name__} within {timeout} s") from None
        except pykka.ActorDeadError:
            raise Unavailable(f"{name!r} died before it answered {type(message).__name__}") from None

    def ref(self, name: str) -> pykka.ActorRef[Any] | None:
        """The living actor of this name, or None."""
        seat = self._seats.get(name)
        if seat is None or seat.ref is None or not seat.ref.is_alive():
            return None
        return seat.ref

    def names(self, prefix: str = "") -> list[str]:
        """Names with this prefix that a living actor has, sorted."""
        with self._lock:
            return sorted(name for name in self._seats if name.startswith(prefix) and self.ref(name) is not None)

    def next_incarnation(self, name: str) -> int:
        """Issue the next incarnation of a name; from now on all older ones are stale."""
        with self._lock:
            issued = self._incarnations.get(name, self._first_incarnation - 1) + 1
            self._incarnations[name] = issued
            return issued

    def newest_incarnation(self, name: str) -> int | None:
        """The incarnation issued last for a name, or None."""
        return self._incarnations.get(name)

    def bind(self, name: str, ref: pykka.ActorRef[Any], incarnation: int, *, keep: bool = False) -> None:
        """Give the name to an actor and deliver what waited for it. With `keep`, messages wait when it has died.

        Raises:
            StaleIncarnationError: if a newer incarnation has the name.
        """
        with self._lock:
            seat = self._seats.get(name)
            if seat is not None and seat.incarnation > incarnation:
                raise StaleIncarnationError(f"{name!r}: incarnation {incarnation} came after {seat.incarnation}")
            new = _Seat(ref=ref, incarnation=incarnation, keep=keep, backlog=Backlog(BACKLOG_LIMIT))
            waiting = seat.backlog.take() if seat is not None else []
            for place, message in enumerate(waiting):
                try:
                    ref.tell(message)
                except pykka.ActorDeadError:
                    self._keep_or_bury(name, new, waiting[place:])
                    break
            self._seats[name] = new

    def unbind(self, name: str, incarnation: int) -> bool:
        """Free the name for good; what waits becomes dead letters, but for what an heir takes.

        False if a newer incarnation has it.
        """
        with self._lock:
            seat = self._seats.get(name)
            if seat is None:
                return True
            if seat.incarnation > incarnation:
                return False
            del self._seats[name]
            left, heir = seat.backlog.take(), self._heirs.get(name)
        self.bury(name, left if heir is None or not left else heir(left), "unbound")
        return True

    def leave_to(self, name: str, heir: Heir) -> None:
        """Who gets what waits when the name is freed for good and nobody will read it: see `Heir`."""
        self._heirs[name] = heir

    def hold(self, name: str, incarnation: int, leftovers: Iterable[object] = ()) -> None:
        """Empty the seat of an incarnation that has died, and keep its leftovers in front of what came since.

        If a newer incarnation sits there already, it gets the leftovers; if the name is free, they are dead letters.
        """
        with self._lock:
            seat = self._seats.get(name)
            if seat is not None and seat.incarnation <= incarnation:
                seat.ref = None
                self._keep_or_bury(name, seat, leftovers)
                return
            for message in leftovers:
                self.tell(name, message)

    def bury(self, name: str, messages: Iterable[object], reason: str) -> None:
        """Count messages as dead letters."""
        with self._lock:
            for message in messages:
                kind = type(message).__name__
                now = self._monotonic()
                self._dead_letters.append(DeadLetter(name=name, message_type=kind, reason=reason, monotonic=now))
                self._dead_counts[kind] += 1
                self._dead_unlogged += 1
                if self._dead_logged_at is None or now - self._dead_logged_at >= DEAD_LETTER_LOG_EVERY_S:
                    logger.warning(
                        "DEAD_LETTER name={} message={} reason={!r} count={}", name, kind, reason, self._dead_unlogged
                    )
                    self._dead_logged_at = now
                    self._dead_unlogged = 0

    def dead_letters(self) -> list[DeadLetter]:
        """The latest dead letters, oldest first."""
        with self._lock:
            return list(self._dead_letters)

    def dead_letter_counts(self) -> dict[str, int]:
        """All dead letters since the start, by message type."""
        with self._lock:
            return dict(self._dead_counts)

    def abandon(self, abandoned: Abandoned) -> None:
        """List a thread that was given up."""
        with self._lock:
            self._abandoned.append(abandoned)

    def abandoned(self) -> list[Abandoned]:
        """Threads that were given up and still run."""
        with self._lock:
            self._abandoned = [each for each in self._abandoned if each.thread.is_alive()]
            return list(self._abandoned)

    def _tell_absent(self, name: str, message: object) -> bool:
        with self._lock:
            seat = self._seats.get(name)
            if seat is None:
                self.bury(name, (message,), "nobody has the name")
                return False
            if seat.ref is not None:
                # Its successor may have arrived between the look-up and the lock.
                with contextlib.suppress(pykka.ActorDeadError):
                    seat.ref.tell(message)
                    return True
            return self._keep_or_bury(name, seat, (message,), in_front=False)

    def _keep_or_bury(self, name: str, seat: _Seat, messages: Iterable[object], *, in_front: bool = True) -> bool:
        lasting = [message for message in messages if not traits_of(message).perishable]
        if not seat.keep:
            self.bury(name, lasting, "dead")
            return False
        if in_front:
            unplaced = seat.backlog.put_before(lasting)
        else:
            unplaced = [message for message in lasting if not seat.backlog.add(message)]
        self.bury(name, unplaced, "backlog full")
        return not unplaced and bool(lasting)
