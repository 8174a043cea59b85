"""The root of the tree, for the main thread: start it, see whether it is well, list everybody in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pykka

from actors.clock import Clock
from actors.directory import Directory, Unanswered, Unavailable
from actors.guard import ActorContext
from actors.refs import GuardedRef, await_started, guarded, stop_and_wait
from actors.restarts import Roster
from actors.supervision import ChildReport, Down, ListChildren
from actors.supervisor import Supervisor
from actors.watchdog import LATE_S, Stillness


def start_root(
    name: str,
    *,
    roster: Roster,
    directory: Directory,
    clock: Clock,
    report_down: Callable[[Down], None],
    chaos: bool = False,
    deadline_s: float = 60.0,
    unless: Callable[[], bool] | None = None,
    **options: Any,
) -> GuardedRef[Supervisor]:
    """Start a supervisor that has no parent, and wait until its essential children are up, `unless` says not to.

    `report_down` is called once, in its thread, when it ends; `options` go to `Supervisor`.

    Raises:
        StartFailedError: naming the child that did not come up; the others have been stopped.
    """
    incarnation = directory.next_incarnation(name)
    context = ActorContext(
        name=name, incarnation=incarnation, directory=directory, clock=clock, report_down=report_down, chaos=chaos
    )
    ref = guarded(Supervisor.start(context, roster=roster, **options))
    directory.bind(name, ref, incarnation)
    await_started(ref, deadline_s, unless)
    return ref


def stop_root(ref: GuardedRef[Any], directory: Directory, deadline_s: float) -> bool:
    """Stop the tree in order; False if it was not done in time."""
    done = stop_and_wait(ref, deadline_s)
    directory.unbind(ref.vitals.name, ref.vitals.incarnation)
    return done


def supervisor_alive(ref: pykka.ActorRef[Any]) -> bool:
    """Whether the supervisor's thread runs and takes messages. If not, nothing is watched: rebuild it, or exit."""
    vitals = guarded(ref).vitals
    return ref.is_alive() and vitals.thread is not None and vitals.thread.is_alive()


class RootWatch:
    """Says whether this process can go on healing itself; if not, main exits non-zero and systemd starts it anew.

    Not so when the root is dead, or stuck in one handler, or when more than `max_abandoned` hung threads have piled up.
    Asked again and again by one thread, whose own lateness counts against nobody (see `Watchdog`).
    """

    def __init__(
        self,
        ref: pykka.ActorRef[Any],
        directory: Directory,
        clock: Clock,
        *,
        every_s: float,
        hang_after_s: float,
        max_abandoned: int = 8,
    ) -> None:
        """It will be asked every `every_s`."""
        self._ref = ref
        self._directory = directory
        self._clock = clock
        self._longest_step_s = every_s + LATE_S
        self._hang_after_s = hang_after_s
        self._max_abandoned = max_abandoned
        self._stillness = Stillness()
        self._looked_at = clock.monotonic()

    def wrong(self) -> str | None:
        """Why it cannot; None: it can."""
        now, vitals = self._clock.monotonic(), guarded(self._ref).vitals
        step_s, self._looked_at = min(now - self._looked_at, self._longest_step_s), now
        limit = max(self._hang_after_s, vitals.patience_s)
        if not supervisor_alive(self._ref):
            return f"the root supervisor is dead: {vitals.error}"
        if (still := self._stillness.look(vitals.beat, vitals.busy_since, now, step_s)) > limit:
            return f"the root supervisor hangs for {still:.1f} s in {vitals.doing}"
        abandoned = self._directory.abandoned()
        if len(abandoned) > self._max_abandoned:
            names = ", ".join(sorted({each.name for each in abandoned}))
            return f"{len(abandoned)} hung threads were left behind: {names}"
        return None


def census(root: str, directory: Directory, timeout: float) -> list[ChildReport]:
    """Everybody below a supervisor, depth first; `timeout` in seconds for each that has children.

    Raises:
        Unavailable, Unanswered: if the root itself does not answer. Not to be called by a supervisor.
    """
    found: list[ChildReport] = []
    for report in directory.ask(root, ListChildren(), timeout):
        found.append(report)
        if report.is_supervisor:
            try:
                found.extend(census(report.name, directory, timeout))
            except (Unavailable, Unanswered):
                # Its own line in the list shows why: WAITING, or an old heartbeat.
                continue
    return found
