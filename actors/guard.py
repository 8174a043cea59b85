"""The guard: the base class of all actors, which sees every death of an actor and lets none harm another.

pykka notices some deaths only, stops all actors on a `SystemExit` in one of them, and drops what its mailbox held
(ACTORS 4.1). Rules of this file:
- It is the only file that touches pykka's internals; each hook used has a contract test (test_pykka_contract.py):
  `_create_actor_inbox`, `_start_actor_loop`, `_actor_loop`, `_actor_loop_teardown`, `_handle_receive`,
  `_handle_failure`, `_actor_ref`, `messages._ActorStop`.
- `Down` is reported exactly once for each actor, in whatever way it dies, after every leftover ask was answered.
- An exception in a tell is a crash. In an ask it is the answer, and the actor lives on.
- A thread is never killed: a hung actor is abandoned, which means fenced, emptied and forgotten.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, cast

import pykka
from loguru import logger
from pykka import messages as pykka_messages

from actors.clock import Cancellable, Clock
from actors.directory import Directory
from actors.inbox import Envelope, Inbox, traits_of
from actors.refs import GuardedRef
from actors.supervision import Crash, Down, DownReason, Ping, Started
from actors.vitals import Vitals

_STOP: type = pykka_messages._ActorStop


class HandlerDied(Exception):
    """A handler raised something that is not an `Exception` (`SystemExit`, `KeyboardInterrupt`, ...)."""


class ChaosCrash(Exception):
    """An ordered crash."""


class ChaosRefusedError(Exception):
    """A crash was ordered where chaos is not enabled."""


_HERE: ContextVar[GuardedActor | None] = ContextVar("actor", default=None)


def patience(limit_s: float) -> None:
    """For what waits in an actor's thread without knowing of actors: it will wait, and give up within `limit_s`.

    Elsewhere it means nothing: an event loop that an actor's thread has set to work has a thread of its own.
    """
    actor = _HERE.get()
    if actor is not None and actor.vitals.thread is threading.current_thread():
        actor.beat(patience_s=limit_s)


def _ignore_start(_started: Started) -> None:
    """Nobody waits for this actor's start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorContext:
    """Given to every actor. The reports are called in the actor's thread and must not block; results do not matter."""

    name: str
    incarnation: int
    directory: Directory
    clock: Clock
    report_down: Callable[[Down], object]
    report_started: Callable[[Started], object] = _ignore_start
    chaos: bool = False


class GuardedActor(pykka.ThreadingActor):
    """An actor whose every death is seen. Subclasses implement `started`, `receive` and `stopping`.

    `start(context, ...)` makes the object in the caller's thread (`__init__` must not block) and starts its own; there:
    1. `started()`; if it raises anything, the start has failed.
    2. `receive(message)` for each message, urgent ones first.
    3. at a stop: `stopping()`, and only then. Whoever crashes gets no hook: recover in `started()` of the successor.
    4. leftover asks are answered, leftover tells go to the successor with `Down`.
    """

    use_daemon_thread = True

    drain_before_stop: ClassVar[bool] = False
    """Whether a stop waits until what is in the mailbox has been handled (a journal), or overtakes it."""

    survives_errors: ClassVar[bool] = False
    """Whether an `Exception` in a tell is logged instead of being a crash. For supervisors only."""

    def __init__(self, context: ActorContext) -> None:
        """Call this first in a subclass."""
        self.context = context
        self.name = context.name
        self.incarnation = context.incarnation
        self.directory = context.directory
        self.clock = context.clock
        self.vitals = Vitals(context.name, context.incarnation, context.clock.monotonic())
        super().__init__()
        self._actor_ref = GuardedRef(self)
        self.inbox = cast("Inbox", self.actor_inbox)
        self.inbox.late = self._turn_away
        self.inbox.stop_overtakes = not self.drain_before_stop
        self._finishing = False
        self._in_hand: object | None = None
        self._fatal: object | None = None
        self._failure: tuple[DownReason, BaseException] | None = None

    # What subclasses implement.

    def started(self) -> None:
        """Before the first message, in the actor's thread. Whatever it raises is a failed start."""

    def receive(self, message: Any) -> object:
        """Handle one message in the actor's thread; what it returns answers an ask.

        Raises:
            Exception: told: the actor crashes. Asked: the asker gets it, and the actor lives on.
        """
        raise TypeError(f"{type(self).__name__} {self.name}: no handler for {type(message).__name__}")

    def pinged(self) -> None:
        """The watchdog's ping was read, in the actor's thread. Who puts off work while more waits in the mailbox does
        it here: the ping may have been all that waited. A failure is that of a message.
        """

    def stopping(self) -> None:
        """After the last message of an actor that is stopped, in its thread; not after a crash. Errors are recorded."""

    def perished(self) -> None:
        """At the end of any death, or when it is fenced off, possibly in another thread, possibly twice."""

    def bequeath(self, leftovers: tuple[object, ...]) -> tuple[object, ...]:
        """Which of the unread tells go to the successor: all, unless a subclass knows better. Must not raise."""
        return leftovers

    # What subclasses use.

    @property
    def fenced(self) -> bool:
        """Whether this incarnation was replaced and must have no effects any more."""
        if self.vitals.fenced:
            return True
        newest = self.directory.newest_incarnation(self.name)
        return newest is not None and newest > self.incarnation

    def tell(self, name: str, message: object) -> bool:
        """`Directory.tell`, but refused (False, logged) once this incarnation is fenced."""
        if self.fenced:
            kind = type(message).__name__
            logger.warning("ACTOR_FENCED name={} epoch={} to={} message={}", self.name, self.incarnation, name, kind)
            return False
        return self.directory.tell(name, message)

    def remind_after(self, seconds: float, message: object) -> Cancellable:
        """Send a message to this very incarnation after so many seconds; never to its successor."""
        return self.clock.call_after(seconds, lambda: self.remind(message))

    def remind(self, message: object) -> bool:
        """Send a message to this very incarnation, from any thread; False if it is dead."""
        try:
            self.actor_ref.tell(message)
        except pykka.ActorDeadError:
            return False
        return True

    def beat(self, patience_s: float = 0.0) -> None:
        """Say, in the middle of a long handler, that it is still getting on.

        `patience_s`: what comes next waits for somebody else, and gives up by itself within this time.
        """
        self.vitals.begin(self.vitals.doing or "", self.clock.monotonic(), patience_s)

    def stop(self) -> None:
        """End by the actor's own decision, after the present message: a normal end."""
        self._finishing = True
        super().stop()

    # pykka's hooks.

    @staticmethod
    def _create_actor_inbox() -> Any:
        return Inbox(stop_type=_STOP)

    def _start_actor_loop(self) -> None:
        name = f"{self.name}#{self.incarnation}"
        self.vitals.thread = thread = threading.Thread(target=self._live, name=name, daemon=self.use_daemon_thread)
        try:
            thread.start()
        except BaseException as error:
            # "can't start new thread": without this, pykka would leave a registered actor without a thread.
            self._failure = (DownReason.START_FAILED, error)
            self._die()
            raise

    def on_start(self) -> None:
        """Run `started` under the eyes of the watchdog."""
        self.vitals.begin("started", self.clock.monotonic())
        try:
            self.started()
        except BaseException as error:
            self._failure = (DownReason.START_FAILED, error)
            raise
        self.vitals.end(self.clock.monotonic())
        self.vitals.started = True
        self.vitals.settled.set()
        self.context.report_started(Started(name=self.name, incarnation=self.incarnation))

    def on_receive(self, message: Any) -> Any:
        """Hand the message to `receive`."""
        return self.receive(message)

    def on_stop(self) -> None:
        """Run `stopping`; a failure there is recorded, and the stop goes on: whoever waits for it is answered."""
        try:
            self.stopping()
        except BaseException as error:  # noqa: BLE001 - it ends here, as the reason of Down
            self._failure = (DownReason.STOP_FAILED, error)

    def _handle_receive(self, message: Any) -> Any:
        self._in_hand = message
        self.vitals.begin(type(message).__name__, self.clock.monotonic())
        try:
            if isinstance(message, Ping):
                self.pinged()
                return True
            if isinstance(message, Crash):
                return self._crash(message)
            return super()._handle_receive(message)
        except ChaosCrash:
            raise
        except Exception as error:
            if not self.survives_errors or self._asked():
                raise
            text = "ACTOR_ERROR name={} epoch={} message={} error={!r}"
            kind = type(message).__name__
            logger.opt(exception=error).critical(text, self.name, self.incarnation, kind, repr(error))
            return None
        except BaseException as error:
            # Anything else would make pykka stop every actor of the process.
            raise HandlerDied(f"{type(error).__name__} in the handler of {type(message).__name__}: {error}") from error
        finally:
            self.vitals.end(self.clock.monotonic())

    def _handle_failure(
        self,
        exception_type: type[BaseException] | None,  # noqa: ARG002 - pykka's signature
        exception_value: BaseException | None,
        traceback: TracebackType | None,  # noqa: ARG002
    ) -> None:
        if self._failure is None and exception_value is not None:
            self._failure = (DownReason.CRASHED, exception_value)
            self._fatal = self._in_hand
        pykka.ActorRegistry.unregister(self.actor_ref)
        self.actor_stopped.set()

    def _actor_loop_teardown(self) -> None:
        """Nothing: pykka would drop leftover tells here; `_die` keeps them."""

    # Dying.

    def _live(self) -> None:
        _HERE.set(self)
        try:
            self._actor_loop()
        except BaseException as error:  # noqa: BLE001 - the thread ends here, with the error as the reason of Down
            if self._failure is None:
                self._failure = (DownReason.CRASHED, error)
        finally:
            self._die()

    def _die(self) -> None:
        pykka.ActorRegistry.unregister(self.actor_ref)
        self.actor_stopped.set()
        self.vitals.busy_since = None
        _let_perish(self)
        leftovers = self.bequeath(_empty(self.inbox, self.name))
        reason = DownReason.FINISHED if self._finishing else DownReason.STOPPED
        error: BaseException | None = None
        if self._failure is not None:
            reason, error = self._failure
            self.vitals.error = f"{type(error).__name__}: {error}"
        down = Down(
            name=self.name,
            incarnation=self.incarnation,
            reason=reason,
            error=self.vitals.error,
            traceback="".join(traceback.format_exception(error)) if error is not None else None,
            in_hand=self._fatal,
            leftovers=leftovers,
        )
        # An error holds the frames of its handler, and through them the actor.
        self._failure = None
        self.vitals.settled.set()
        try:
            self.context.report_down(down)
        except Exception as failed:  # noqa: BLE001 - nobody else is left to hear of it
            logger.opt(exception=failed).critical("ACTOR_DOWN_UNREPORTED name={} epoch={}", self.name, self.incarnation)

    def _asked(self) -> bool:
        current = self.inbox.current
        return current is not None and current.reply_to is not None

    def _crash(self, order: Crash) -> None:
        if not self.context.chaos:
            if self._asked():
                raise ChaosRefusedError(f"{self.name}: chaos is not enabled")
            logger.warning("CHAOS_REFUSED name={} epoch={} how={}", self.name, self.incarnation, order.how)
            return
        logger.warning("CHAOS name={} epoch={} how={}", self.name, self.incarnation, order.how)
        if order.how == "exit":
            raise SystemExit("ordered by chaos")
        if order.how == "exception":
            raise ChaosCrash("ordered by chaos")
        threading.Event().wait(order.hang_s)

    def _turn_away(self, envelope: Envelope) -> None:
        """A message came after the end: the sender saw the actor alive an instant before."""
        if not _answer_dead(self.name, envelope) and not isinstance(envelope.message, _STOP):
            # The directory knows whether a successor is there or expected.
            self.directory.tell(self.name, envelope.message)


def _let_perish(actor: GuardedActor) -> None:
    try:
        actor.perished()
    except Exception as error:  # noqa: BLE001 - a death is reported whatever this hook does
        logger.opt(exception=error).error("ACTOR_PERISHED_FAILED name={} error={!r}", actor.name, repr(error))


def _answer_dead(name: str, envelope: Envelope) -> bool:
    """Answer an ask that nobody will handle; False if it was a tell (or no envelope at all)."""
    future = getattr(envelope, "reply_to", None)
    if future is None:
        return not hasattr(envelope, "message")
    # queue.Full: it has an answer already.
    with contextlib.suppress(queue.Full):
        if isinstance(envelope.message, _STOP):
            future.set(None)
        else:
            dead = pykka.ActorDeadError(f"{name} ended before it handled {type(envelope.message).__name__}")
            future.set_exception((pykka.ActorDeadError, dead, None))
    return True


def _empty(inbox: Inbox, name: str) -> tuple[object, ...]:
    """Close the inbox, answer its asks and the one in hand, return the leftover tells that a successor may want."""
    left = inbox.close()
    if inbox.current is not None:
        _answer_dead(name, inbox.current)
    return tuple(
        envelope.message
        for envelope in left
        if not _answer_dead(name, envelope)
        and not isinstance(envelope.message, _STOP)
        and not traits_of(envelope.message).perishable
    )


def abandon(ref: GuardedRef[Any]) -> tuple[object, ...]:
    """Fence an actor that does not end by itself, and take its mailbox. Its thread goes on until its handler returns.

    Returns the leftover tells for its successor; asks are answered with `ActorDeadError`.
    """
    ref.vitals.fenced = True
    pykka.ActorRegistry.unregister(ref)
    ref.actor_stopped.set()
    leftovers = _empty(ref.inbox, ref.vitals.name)
    actor = ref.actor()
    if actor is not None:
        _let_perish(actor)
        leftovers = actor.bequeath(leftovers)
    return leftovers


def configure_threads(*, switch_interval_s: float = 0.02, stack_kib: int = 512) -> None:
    """Set the interpreter up for a thousand threads (ACTORS 3.11). To be called before any thread is started."""
    sys.setswitchinterval(switch_interval_s)
    threading.stack_size(stack_kib * 1024)
