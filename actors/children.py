"""What a supervisor knows of its children, and how it tells of them: a line in the log and an event to the observer."""

from __future__ import annotations

import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from loguru import logger

from actors.clock import Cancellable, Clock
from actors.guard import GuardedActor
from actors.refs import GuardedRef, StartFailedError, await_started
from actors.restarts import RestartWindow
from actors.supervision import (
    ChildReport,
    ChildSpec,
    ChildState,
    Down,
    DownReason,
    Overdue,
    SupervisionEvent,
    SupervisionKind,
)

Observer = Callable[[SupervisionEvent], None]

_LEVELS = {
    SupervisionKind.ACTOR_STARTED: "INFO",
    SupervisionKind.ACTOR_CRASHED: "ERROR",
    SupervisionKind.ACTOR_HUNG: "ERROR",
    SupervisionKind.ACTOR_RESTARTED: "WARNING",
    SupervisionKind.ACTOR_FINISHED: "INFO",
    SupervisionKind.ACTOR_STOPPED: "INFO",
    SupervisionKind.ACTOR_POISONED: "CRITICAL",
    SupervisionKind.ACTOR_ESCALATED: "CRITICAL",
    SupervisionKind.ACTOR_STEADY: "WARNING",
    SupervisionKind.GROUP_ESCALATED: "CRITICAL",
    SupervisionKind.GROUP_STEADY: "WARNING",
}

POISON_AFTER = 2
"""Deaths with the same message in hand that make it poison."""

_ESCALATIONS = (SupervisionKind.ACTOR_ESCALATED, SupervisionKind.GROUP_ESCALATED)


class ChildExistsError(Exception):
    """A child of this name runs or waits for its restart already."""


class UnknownChildError(Exception):
    """The supervisor has no child of this name."""


@dataclass(slots=True, kw_only=True)
class Child:
    """One child; times are monotonic seconds."""

    spec: ChildSpec
    window: RestartWindow = field(init=False)
    state: ChildState = ChildState.WAITING
    incarnation: int = 0
    ref: GuardedRef[Any] | None = None
    launched_at: float = 0.0
    restarts: int = 0
    streak: int = 0
    """Restarts since it last lived for `reset_after_s`."""
    slow: bool = False
    """Restarted too often, and escalated for it."""
    last_error: str | None = None
    timer: Cancellable | None = None
    killers: Counter[str] = field(default_factory=Counter)
    """Deaths of this streak by the message in hand."""

    def __post_init__(self) -> None:
        """The window is the specification's."""
        self.window = RestartWindow(self.spec.intensity, self.spec.period_s)

    @property
    def name(self) -> str:
        """The name that outlives its incarnations."""
        return self.spec.name

    @property
    def running(self) -> bool:
        """Whether its death would be news."""
        return self.state in (ChildState.STARTING, ChildState.RUNNING)

    def cancel_timer(self) -> None:
        """Let no timer of it fire any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def poisoned_by(self, in_hand: object) -> bool:
        """Count a death with this message in hand; whether one that looks the same has now killed often enough."""
        killer = looks(in_hand)
        self.killers[killer] += 1
        return self.killers[killer] >= POISON_AFTER

    def report(self, parent: str, supervisor: type[GuardedActor], now: float) -> ChildReport:
        """The child for operators; `supervisor` is the class whose actors have children of their own."""
        return ChildReport(
            name=self.name,
            state=self.state,
            incarnation=self.incarnation,
            restarts=self.restarts,
            last_error=self.last_error,
            mailbox=self.ref.inbox.depth() if self.ref is not None else 0,
            heartbeat_age_s=self.ref.vitals.heartbeat_age_s(now) if self.ref is not None else 0.0,
            parent=parent,
            is_supervisor=self.ref is not None and issubclass(self.ref.actor_class, supervisor),
        )


class Chronicle:
    """Tells what happens to the children of one supervisor. Observers are called in its thread and must not block."""

    def __init__(
        self, supervisor: str, clock: Clock, observer: Observer | None, on_escalation: Observer | None
    ) -> None:
        """`on_escalation` hears the two kinds of escalation, `observer` everything."""
        self._supervisor = supervisor
        self._clock = clock
        self._observer = observer
        self._on_escalation = on_escalation

    def tell(
        self,
        kind: SupervisionKind,
        child: Child,
        *,
        error: str | None = None,
        trace: str | None = None,
        delay_s: float | None = None,
    ) -> None:
        """Log and report one happening; `trace` is the traceback of a crash or the stack of a hung thread."""
        line = f"{kind.name} name={{}} epoch={{}}"
        values: list[object] = [child.name, child.incarnation]
        if kind is SupervisionKind.ACTOR_RESTARTED:
            line += " restarts={}"
            values.append(child.restarts)
        if error is not None:
            line += " error={!r}"
            values.append(error)
        logger.bind(traceback=trace).log(_LEVELS[kind], line, *values)
        event = SupervisionEvent(
            kind=kind,
            at=self._clock.now(),
            supervisor=self._supervisor,
            name=child.name,
            incarnation=child.incarnation,
            restarts=child.restarts,
            error=error,
            traceback=trace,
            delay_s=delay_s,
        )
        self._call(self._observer, event)
        if kind in _ESCALATIONS:
            self._call(self._on_escalation, event)

    def _call(self, observer: Observer | None, event: SupervisionEvent) -> None:
        if observer is None:
            return
        try:
            observer(event)
        except Exception as error:  # noqa: BLE001 - an observer's fault must not keep a child from its restart
            logger.opt(exception=error).error("OBSERVER_FAILED event={} error={!r}", event.kind.name, repr(error))


def await_child(child: Child, failure: Down | None) -> None:
    """Wait for the start of an essential child.

    Raises:
        StartFailedError: if it could not be made (`failure`), did not come up, or not in time.
    """
    if child.ref is None:
        raise StartFailedError(f"{child.name}: {failure.error if failure is not None else 'it was not made'}")
    await_started(child.ref, child.spec.start_s)


def stillborn(name: str, incarnation: int, error: BaseException) -> Down:
    """The death of one that could not even be made."""
    return Down(
        name=name,
        incarnation=incarnation,
        reason=DownReason.START_FAILED,
        error=f"{type(error).__name__}: {error}",
        traceback="".join(traceback.format_exception(error)),
    )


def found_dead(overdue: Overdue, trace: str | None, leftovers: tuple[object, ...]) -> Down:
    """The death of one that did not report it itself."""
    error = "the thread is gone without a word"
    if overdue.reason is DownReason.HUNG:
        error = f"hung for {overdue.seconds:.1f} s in {overdue.doing}"
    return Down(
        name=overdue.name,
        incarnation=overdue.incarnation,
        reason=overdue.reason,
        error=error,
        traceback=trace,
        leftovers=leftovers,
    )


def looks(message: object) -> str:
    """What a message looks like; two that look alike are taken to be the same."""
    try:
        return repr(message)
    except Exception:  # noqa: BLE001 - a broken __repr__ must not keep the child from its restart
        return f"<{type(message).__name__} {id(message)}>"


def stack_of(thread: threading.Thread) -> str:
    """Where a thread is just now, as text."""
    frame = sys._current_frames().get(thread.ident or 0)
    return "".join(traceback.format_stack(frame)) if frame is not None else "no frame"
