"""The supervisor: starts its children, hears of every death, starts them again, stops them in order.

Rules of this file:
- A restart is a new object, a new incarnation and the old name; nothing of the dead is used but its unread messages.
- The first restart is immediate, the next wait with full jitter. A child that keeps failing becomes slow, is
  escalated, and is never given up; its siblings are not touched for it (ACTORS 4.5).
- A hung child is abandoned: fenced, replaced, its thread listed with its stack. Threads are never killed.
- It waits for a child in two places only: `started()` of essential children, and its own stop.
- One for one: whose neighbour died goes on. Who depends on another hears of its new incarnation, and asks again.
- What it is to run lives outside of it, in the `Roster`: if it dies itself, its successor starts the same children.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, ClassVar

from loguru import logger

from actors.children import (
    Child,
    ChildExistsError,
    Chronicle,
    Observer,
    UnknownChildError,
    await_child,
    found_dead,
    looks,
    stack_of,
    stillborn,
)
from actors.directory import Abandoned, StaleIncarnationError
from actors.guard import ActorContext, GuardedActor, abandon
from actors.refs import StartFailedError, guarded, stop_and_wait
from actors.restarts import RestartWindow, Roster, backoff, slow_delay
from actors.supervision import (
    ChildReport,
    ChildState,
    Down,
    DownReason,
    ListChildren,
    Overdue,
    Restart,
    RestartDue,
    StartChild,
    Started,
    SteadyDue,
    StopChild,
    StopDue,
    SupervisionKind,
)
from actors.watchdog import Watchdog


class Supervisor(GuardedActor):
    """Supervises the children of a roster. As a child itself its `hang_after_s` is to be above their `shutdown_s`."""

    survives_errors: ClassVar[bool] = True

    def __init__(
        self,
        context: ActorContext,
        *,
        roster: Roster,
        stop_together: bool = False,
        observer: Observer | None = None,
        on_escalation: Observer | None = None,
        group_intensity: int = 20,
        group_period_s: float = 30.0,
        watch_period_s: float = 0.25,
        ping_after_s: float = 2.0,
        rng: random.Random | None = None,
    ) -> None:
        """Observers are called in the supervisor's thread and must not block.

        With `stop_together` all children are told to stop at once, not one after another in reverse order. More than
        `group_intensity` restarts of all children within `group_period_s` are reported once as a group escalation.
        """
        super().__init__(context)
        self._roster = roster
        self._stop_together = stop_together
        self._chronicle = Chronicle(context.name, context.clock, observer, on_escalation)
        self._group = RestartWindow(group_intensity, group_period_s)
        self._group_period_s = group_period_s
        self._group_escalated = False
        self._falls = 0
        self._fallen: Child | None = None
        self._rng = rng or random.Random()
        self._children: dict[str, Child] = {}
        self._watchdog = Watchdog(
            self.remind, context.clock, name=context.name, period_s=watch_period_s, ping_after_s=ping_after_s
        )
        self._handlers: dict[type, Callable[[Any], object]] = {
            Down: self._on_down,
            Started: self._on_started,
            Overdue: self._on_overdue,
            RestartDue: self._on_restart_due,
            StopDue: self._on_stop_due,
            SteadyDue: self._on_steady_due,
            StartChild: self._on_start_child,
            StopChild: self._on_stop_child,
            ListChildren: self._on_list_children,
        }

    def started(self) -> None:
        """Start the roster in order. If an essential child does not come up, those before it are stopped.

        Raises:
            StartFailedError: naming the child.
        """
        self._watchdog.start()
        for spec in self._roster.specs():
            child = self._children[spec.name] = Child(spec=spec)
            failure = self._launch(child)
            if spec.essential:
                try:
                    await_child(child, failure)
                except StartFailedError as error:
                    self._chronicle.tell(SupervisionKind.ACTOR_CRASHED, child, error=str(error))
                    self._stop_all()
                    raise
            elif failure is not None:
                self._fell(child, failure)
            elif spec.awaited_s is not None and child.ref is not None:
                child.ref.vitals.settled.wait(spec.awaited_s)  # if it fails, its death comes as any other
            self.beat()

    def receive(self, message: Any) -> object:
        """Handle one message of `actors.supervision`."""
        handler = self._handlers.get(type(message))
        if handler is None:
            raise TypeError(f"supervisor {self.name}: no handler for {type(message).__name__}")
        return handler(message)

    def stopping(self) -> None:
        """Stop all children, the last started first; who is late is abandoned."""
        self._stop_all()

    def perished(self) -> None:
        """Fence the children that are left: the successor starts them anew, and there must not be two of a name."""
        self._watchdog.stop()
        for child in reversed(list(self._children.values())):
            if child.ref is not None and child.ref.is_alive():
                self.directory.hold(child.name, child.incarnation, abandon(child.ref))

    def bequeath(self, leftovers: tuple[object, ...]) -> tuple[object, ...]:
        """Deaths not read any more: what those children left unread is kept for their own successors."""
        for message in leftovers:
            if isinstance(message, Down):
                self.directory.hold(message.name, message.incarnation, message.leftovers)
        return tuple(message for message in leftovers if not isinstance(message, Down))

    # Messages.

    def _hear_down(self, down: Down) -> None:
        """In the dying child's thread: whether or not this supervisor can still read it, what is unread is not lost."""
        if not self.remind(down):
            self.directory.hold(down.name, down.incarnation, down.leftovers)

    def _on_down(self, down: Down) -> None:
        child = self._children.get(down.name)
        if child is None or child.incarnation != down.incarnation or child.state is ChildState.WAITING:
            # Given up before, or stopped together with an elder sibling: only its messages are of interest.
            self.directory.hold(down.name, down.incarnation, down.leftovers)
            return
        self._fell(child, down)

    def _on_started(self, started: Started) -> None:
        child = self._children.get(started.name)
        if child is None or child.incarnation != started.incarnation or child.state is not ChildState.STARTING:
            return
        child.state = ChildState.RUNNING
        self._chronicle.tell(
            SupervisionKind.ACTOR_RESTARTED if child.restarts else SupervisionKind.ACTOR_STARTED, child
        )
        if child.slow:
            due = SteadyDue(name=child.name, incarnation=child.incarnation)
            self.remind_after(child.spec.reset_after_s, due)

    def _on_overdue(self, overdue: Overdue) -> None:
        child = self._children.get(overdue.name)
        if child is None or child.ref is None or child.incarnation != overdue.incarnation or not child.running:
            return
        if overdue.reason is DownReason.HUNG and child.ref.vitals.beat != overdue.beat:
            self._watchdog.watch(child.spec, child.ref)
            return
        trace, leftovers = self._abandon(child)
        self._fell(child, found_dead(overdue, trace, leftovers))

    def _on_restart_due(self, due: RestartDue) -> None:
        child = self._children.get(due.name)
        if child is not None and child.incarnation == due.incarnation and child.state is ChildState.WAITING:
            self._start_again(child)

    def _on_steady_due(self, due: SteadyDue) -> None:
        """A crash loop that has ended is told once, as its beginning was."""
        child = self._children.get(due.name)
        if due.incarnation is None:
            if due.falls == self._falls and self._fallen is not None:  # nobody has fallen since
                self._group_escalated = False
                self._chronicle.tell(SupervisionKind.GROUP_STEADY, self._fallen)
        elif child is not None and child.slow and child.incarnation == due.incarnation and child.running:
            child.slow = False
            self._chronicle.tell(SupervisionKind.ACTOR_STEADY, child)

    def _on_stop_due(self, due: StopDue) -> None:
        child = self._children.get(due.name)
        if child is None or child.incarnation != due.incarnation or child.state is not ChildState.STOPPING:
            return
        stack, leftovers = self._abandon(child)
        error = f"did not stop within {child.spec.shutdown_s} s"
        self._remove(child, SupervisionKind.ACTOR_HUNG, leftovers, error, stack)

    def _on_start_child(self, order: StartChild) -> int:
        if order.spec.name in self._children:
            raise ChildExistsError(f"{self.name} has a child {order.spec.name!r} already")
        self._roster.add(order.spec)
        child = self._children[order.spec.name] = Child(spec=order.spec)
        failure = self._launch(child)
        if failure is not None:
            self._fell(child, failure)
        return child.incarnation

    def _on_stop_child(self, order: StopChild) -> bool:
        child = self._children.get(order.name)
        if child is None:
            raise UnknownChildError(f"{self.name} has no child {order.name!r}")
        logger.info("ACTOR_STOP name={} epoch={} reason={!r}", order.name, child.incarnation, order.reason)
        if child.state is ChildState.WAITING:
            self._remove(child, SupervisionKind.ACTOR_STOPPED)
        elif child.ref is not None and child.running:
            # From now on its death is ordered: no crash, and no restart, not even by a successor of this supervisor.
            child.state = ChildState.STOPPING
            self._roster.discard(order.name)
            child.ref.stop(block=False)
            child.timer = self.remind_after(
                child.spec.shutdown_s, StopDue(name=order.name, incarnation=child.incarnation)
            )
        return True

    def _on_list_children(self, _question: ListChildren) -> tuple[ChildReport, ...]:
        now = self.clock.monotonic()
        return tuple(child.report(self.name, Supervisor, now) for child in self._children.values())

    # Starting.

    def _launch(self, child: Child) -> Down | None:
        """Make and start a new incarnation; returns its death if it could not even be made.

        Raises:
            StaleIncarnationError: if this supervisor was fenced meanwhile: the child belongs to its successor.
        """
        if self.vitals.fenced:
            raise StaleIncarnationError(f"supervisor {self.name} was replaced and starts {child.name!r} no more")
        spec = child.spec
        child.timer = None
        child.incarnation = self.directory.next_incarnation(spec.name)
        child.launched_at = self.clock.monotonic()
        child.state = ChildState.STARTING
        context = ActorContext(
            name=spec.name,
            incarnation=child.incarnation,
            directory=self.directory,
            clock=self.clock,
            report_down=self._hear_down,
            report_started=self.remind,
            chaos=self.context.chaos,
        )
        try:
            child.ref = guarded(spec.factory(context))
        except BaseException as error:  # noqa: BLE001 - whatever a constructor raises is the child's failure, not ours
            child.ref = None
            return stillborn(spec.name, child.incarnation, error)
        self.directory.bind(spec.name, child.ref, child.incarnation, keep=True)
        self._watchdog.watch(spec, child.ref)
        return None

    def _start_again(self, child: Child) -> None:
        child.restarts += 1
        failure = self._launch(child)
        if failure is not None:
            self._fell(child, failure)

    # Falling.

    def _fell(self, child: Child, down: Down) -> None:
        """A death was reported or found: decide what comes after it."""
        if child.state is ChildState.STOPPING:
            self._remove(child, SupervisionKind.ACTOR_STOPPED, down.leftovers, down.error, down.traceback)
            return
        if down.normal:
            kind, error = SupervisionKind.ACTOR_FINISHED, None
        else:
            kind = SupervisionKind.ACTOR_HUNG if down.reason is DownReason.HUNG else SupervisionKind.ACTOR_CRASHED
            error = child.last_error = down.error or f"ended: {down.reason.value}"
        if self.clock.monotonic() - child.launched_at >= child.spec.reset_after_s:
            child.streak = 0
            child.killers.clear()
        leftovers = self._without_poison(child, down)
        restart = child.spec.restart
        if restart is Restart.TRANSIENT and down.normal:
            self._remove(child, kind, leftovers, error, down.traceback)
            return
        self.directory.hold(child.name, child.incarnation, leftovers)
        child.state = ChildState.WAITING
        now = self.clock.monotonic()
        too_often = child.window.add(now)
        delay = slow_delay(child.spec, self._rng) if too_often else backoff(child.streak, child.spec, self._rng)
        child.streak += 1
        self._chronicle.tell(kind, child, error=error, trace=down.traceback, delay_s=delay)
        self._escalate(child, too_often, self._group.add(now), delay)
        if delay > 0:
            child.timer = self.remind_after(delay, RestartDue(name=child.name, incarnation=child.incarnation))
        else:
            self._start_again(child)

    def _escalate(self, child: Child, too_often: bool, group_too_often: bool, delay: float) -> None:
        """Say it once when a child, or the group, begins to fall too often."""
        if too_often and not child.slow:
            self._chronicle.tell(SupervisionKind.ACTOR_ESCALATED, child, error=child.last_error, delay_s=delay)
        if group_too_often and not self._group_escalated:
            self._chronicle.tell(SupervisionKind.GROUP_ESCALATED, child, error=child.last_error, delay_s=delay)
        child.slow = child.slow or too_often
        self._falls, self._fallen = self._falls + 1, child
        if group_too_often or self._group_escalated:
            self._group_escalated = True
            self.remind_after(self._group_period_s, SteadyDue(name=child.name, incarnation=None, falls=self._falls))

    def _without_poison(self, child: Child, down: Down) -> tuple[object, ...]:
        """Take out of the leftovers what looks like a message that has killed this child twice."""
        if down.in_hand is None or not child.poisoned_by(down.in_hand):
            return down.leftovers
        killer = looks(down.in_hand)
        alike = [message for message in down.leftovers if looks(message) == killer]
        self.directory.bury(child.name, [down.in_hand, *alike], "poison")
        self._chronicle.tell(SupervisionKind.ACTOR_POISONED, child, error=f"{down.error}, again, by {killer}")
        return tuple(message for message in down.leftovers if looks(message) != killer)

    def _remove(
        self,
        child: Child,
        kind: SupervisionKind,
        leftovers: tuple[object, ...] = (),
        error: str | None = None,
        trace: str | None = None,
    ) -> None:
        """Forget a child for good."""
        child.cancel_timer()
        self._watchdog.forget(child.name)
        self._children.pop(child.name, None)
        self._roster.discard(child.name)
        self.directory.unbind(child.name, child.incarnation)
        self.directory.bury(child.name, leftovers, "ended")
        if child.slow:
            # A crash loop is over with who fell in it: nobody else would ever say so.
            self._chronicle.tell(SupervisionKind.ACTOR_STEADY, child)
        self._chronicle.tell(kind, child, error=error, trace=trace)

    # Stopping.

    def _stop_all(self) -> None:
        """Stop all children in reverse order of their start and wait for each."""
        self._watchdog.stop()
        children = list(reversed(self._children.values()))
        if self._stop_together:
            for child in children:
                if child.ref is not None:
                    child.ref.stop(block=False)
        for child in children:
            child.cancel_timer()
            if child.running or child.state is ChildState.STOPPING:
                child.state = ChildState.STOPPING
                self._halt(child)
                self._chronicle.tell(SupervisionKind.ACTOR_STOPPED, child)
            self.directory.unbind(child.name, child.incarnation)

    def _halt(self, child: Child) -> None:
        """Stop a child and wait for the end of its thread; one that is late is abandoned."""
        self.beat(patience_s=child.spec.shutdown_s)
        if child.ref is None or stop_and_wait(child.ref, child.spec.shutdown_s):
            return
        stack, leftovers = self._abandon(child)
        self.directory.hold(child.name, child.incarnation, leftovers)
        child.last_error = f"did not stop within {child.spec.shutdown_s} s"
        self._chronicle.tell(SupervisionKind.ACTOR_HUNG, child, error=child.last_error, trace=stack)

    def _abandon(self, child: Child) -> tuple[str | None, tuple[object, ...]]:
        """Fence a child; returns the stack of its thread, if it has one, and its unread messages."""
        if child.ref is None:
            return None, ()
        thread = child.ref.vitals.thread
        stack = None
        if thread is not None and thread.is_alive():
            stack = stack_of(thread)
            since = self.clock.monotonic()
            self.directory.abandon(
                Abandoned(name=child.name, incarnation=child.incarnation, thread=thread, since=since, stack=stack)
            )
        return stack, abandon(child.ref)
