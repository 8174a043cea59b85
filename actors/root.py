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


def start_root(
    name: str,
    *,
    roster: Roster,
    directory: Directory,
    clock: Clock,
    report_down: Callable[[Down], None],
    chaos: bool = False,
    deadline_s: float = 60.0,
    **options: Any,
) -> GuardedRef[Supervisor]:
    """Start a supervisor that has no parent, and wait until its essential children are up.

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
    await_started(ref, deadline_s)
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


def healthy(
    ref: pykka.ActorRef[Any],
    directory: Directory,
    clock: Clock,
    *,
    hang_after_s: float = 30.0,
    max_abandoned: int = 8,
) -> bool:
    """Whether this process can go on healing itself; if not, main exits non-zero and systemd starts it anew.

    Not so when the root is dead or has been in one handler for `hang_after_s`, or when more than `max_abandoned` hung
    threads have piled up.
    """
    busy_since = guarded(ref).vitals.busy_since
    hung = busy_since is not None and clock.monotonic() - busy_since > hang_after_s
    return supervisor_alive(ref) and not hung and len(directory.abandoned()) <= max_abandoned


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
