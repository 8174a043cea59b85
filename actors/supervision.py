"""What supervisors, their children and the guard say to each other: child specifications, messages, reports, events.

Rules of this file:
- Frozen data only, no behaviour beyond checking itself. Durations are seconds by the monotonic clock.
- `urgent = True` on a message class: it overtakes ordinary messages in a mailbox.
- `perishable = True`: it is meant for one incarnation; left over, it is neither kept for a successor nor a dead letter.
- An incarnation is the epoch of a name within this process: it grows with each (re)start and is never used twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import pykka

    from actors.guard import ActorContext


class Restart(Enum):
    """When a child that ended is started again."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """Unless it ended by its own decision: a stop that neither it nor its supervisor ordered is a failure."""


class DownReason(Enum):
    """How an incarnation ended."""

    FINISHED = "finished"
    """The actor decided so itself (`GuardedActor.stop`)."""
    STOPPED = "stopped"
    """Somebody else sent a stop; only its supervisor knows whether that was meant."""
    CRASHED = "crashed"
    START_FAILED = "start_failed"
    STOP_FAILED = "stop_failed"
    HUNG = "hung"
    VANISHED = "vanished"
    """The thread is gone and no word came from it."""


class ChildState(Enum):
    """Where a child is in its life, as its supervisor sees it."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    """Dead; it will be started again when its delay is over (or when its predecessor is up)."""
    STOPPING = "STOPPING"


class SupervisionKind(Enum):
    """What happened to a child; the value is the event type to journal."""

    ACTOR_STARTED = "actor_started"
    ACTOR_CRASHED = "actor_crashed"
    ACTOR_HUNG = "actor_hung"
    ACTOR_RESTARTED = "actor_restarted"
    ACTOR_FINISHED = "actor_finished"
    ACTOR_STOPPED = "actor_stopped"
    ACTOR_POISONED = "actor_poisoned"
    """The same message was in hand at two deaths; waiting copies of it go to the dead letters."""
    ACTOR_ESCALATED = "actor_escalated"
    """It keeps failing: its restarts are slow from now on, but never given up."""
    ACTOR_STEADY = "actor_steady"
    """One that kept failing has lived long enough since: its crash loop is over."""
    GROUP_ESCALATED = "group_escalated"
    """Many children of one supervisor fell in a short time: look for a common cause."""
    GROUP_STEADY = "group_steady"
    """That is over: none of them has fallen for as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """How to make, restart and stop one child.

    `factory` returns the ref of the started actor (`lambda context: PositionActor.start(context, ...)`). It runs in the
    supervisor's thread and must not block: what takes time belongs into `started()`.
    """

    name: str
    factory: Callable[[ActorContext], pykka.ActorRef[Any]]
    restart: Restart = Restart.PERMANENT
    essential: bool = True
    """At boot: wait for `started()` and fail the supervisor if it fails. Otherwise start side by side and retry."""
    awaited_s: float | None = None
    """Of one that is not essential, at boot: wait so long for `started()`, then go on with it or without it."""
    start_s: float = 10.0
    """`started()` must have returned by then."""
    shutdown_s: float = 5.0
    """An ordered stop must be done by then; then the thread is abandoned."""
    hang_after_s: float | None = 5.0
    """A handler may run this long; None: for ever."""
    base_backoff_s: float = 0.1
    max_backoff_s: float = 30.0
    reset_after_s: float = 60.0
    """A child that lived this long begins again with an immediate restart."""
    intensity: int = 5
    period_s: float = 30.0
    """More than `intensity` restarts within `period_s`: slow restarts and an escalation."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: naming the child, the field, its value and the rule.
        """
        if not self.name:
            raise ValueError("ChildSpec.name is empty: a child needs a name")
        durations = ("start_s", "shutdown_s", "base_backoff_s", "max_backoff_s", "reset_after_s", "period_s")
        for what in (*durations, "intensity"):
            if not getattr(self, what) > 0:
                raise ValueError(f"ChildSpec {self.name}: {what}={getattr(self, what)} must be greater than 0")
        for what in ("hang_after_s", "awaited_s"):
            value = getattr(self, what)
            if value is not None and not value > 0:
                raise ValueError(f"ChildSpec {self.name}: {what}={value} must be greater than 0, or None")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartChild:
    """Ask a supervisor to start one more child; answered with its incarnation before its `started()` has run."""

    spec: ChildSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class StopChild:
    """Ask a supervisor to stop a child and to forget it; answered with True at once, the end follows as an event."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListChildren:
    """Ask a supervisor for a tuple of `ChildReport`, in start order."""

    urgent: ClassVar[bool] = True
    perishable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildReport:
    """One child as its supervisor sees it."""

    name: str
    state: ChildState
    incarnation: int
    restarts: int
    last_error: str | None
    mailbox: int
    heartbeat_age_s: float
    parent: str
    is_supervisor: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """`started()` of this incarnation returned."""

    urgent: ClassVar[bool] = True
    perishable: ClassVar[bool] = True
    name: str
    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Down:
    """An incarnation ended: said exactly once for each, however it died."""

    urgent: ClassVar[bool] = True
    name: str
    incarnation: int
    reason: DownReason
    error: str | None = None
    traceback: str | None = None
    in_hand: object | None = None
    """The message whose handling killed it; it is not delivered again."""
    leftovers: tuple[object, ...] = field(default=(), repr=False)
    """Told but not handled, in order; for the successor."""

    @property
    def normal(self) -> bool:
        """Whether the actor ended by its own decision, without an error."""
        return self.reason is DownReason.FINISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """The watchdog's finding: this incarnation is hung, or its thread vanished."""

    urgent: ClassVar[bool] = True
    perishable: ClassVar[bool] = True
    name: str
    incarnation: int
    reason: DownReason
    seconds: float
    beat: int
    """Count of the beats at the time of the finding: if it has grown since, the actor came back by itself."""
    doing: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartDue:
    """The delay of a dead child is over."""

    urgent: ClassVar[bool] = True
    perishable: ClassVar[bool] = True
    name: str
    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SteadyDue:
    """This incarnation (None: all children) may have lived long enough for its crash loop to be over."""

    urgent: ClassVar[bool] = True
    perishable: ClassVar[bool] = True
    name: str
    incarnation: int | None
    falls: int = 0
    """How many falls of all there had been."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopDue:
    """A child that was told to stop must be gone by now."""

    urgent: ClassVar[bool] = True
    perishable: ClassVar[bool] = True
    name: str
    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Goes through the mailbox like any message and proves that it moves; answered with True by the guard."""

    perishable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """Chaos: die in this way. To be told, not asked. Refused unless the context allows chaos."""

    urgent: ClassVar[bool] = True
    perishable: ClassVar[bool] = True
    how: Literal["exception", "exit", "hang"]
    hang_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisionEvent:
    """What a supervisor did or saw, for the journal and the alerts."""

    kind: SupervisionKind
    at: datetime
    supervisor: str
    name: str
    incarnation: int
    restarts: int
    error: str | None = None
    traceback: str | None = None
    delay_s: float | None = None
    """Until the next start, where one is planned."""
