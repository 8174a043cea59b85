"""kill -9 at fifty and more different lines of the order path, on both dialects, with everything real.

How one would notice it broken: drop the replay of the spool at start, answer a signal before it is stored, or let a new
owner send before it has asked: each makes points fail here (see also `python -m tests.chaos.crash_at --all`).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.chaos.crash_points import AFTER, HOOK, ROOT, all_points, named, with_hooks
from tests.chaos.crash_stage import When
from tests.chaos.crash_tour import Census, Visit, spread, table, tour

# How many kills of what, in which parts of the path (none named: all of them).
KILLS = (
    (When.LIFE, 18, ()),
    (When.LIFE, 1, ("owner's start",)),  # two functions among so many: an even choice may pass them by
    (When.LIFE, 1, ("news",)),  # few as well, and one that is not reached must not leave the part without a kill
    (When.LIFE, 1, ("transaction",)),
    (When.START, 2, ()),
    (When.START, 1, ("start",)),
    (When.AWAY, 3, ("spool", "journal")),
)
LEAST_POINTS = 50
SPARE = 4  # for what is reached only when two threads meet, or when the machine is as slow as in the census


class Choice:
    """Points of every part of the path; in lives none that is visited already."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._taken: set[int] = set()

    def of(self, offset: int) -> Callable[[Census], list[Visit]]:
        """Those of one tour; another `offset`, other ones."""

        def choose(census: Census) -> list[Visit]:
            found: list[Visit] = []
            with self._mutex:
                for when, number, phases in reversed(KILLS):
                    taken = self._taken if when is When.LIFE else ()  # only a life has enough to choose from
                    points = spread(census[when], number, offset, phases, taken)
                    self._taken |= {point.number for point, _ in points}
                    found = [*((when, point, nth) for point, nth in points), *found]
                spare = spread(census[When.LIFE], SPARE, offset, (), self._taken)
                self._taken |= {point.number for point, _ in spare}
            return [*found, *((When.LIFE, point, nth) for point, nth in spare)]

        return choose


@pytest.mark.chaos
@pytest.mark.timeout(420)
def test_killed_at_every_part_of_the_order_path(tmp_path: Path) -> None:
    """Both dialects at the same time, other points on each; what is judged stands in `crash_stage`."""
    tmp_path.chmod(0o755)
    choice = Choice()
    with ThreadPoolExecutor(2) as pool:
        running = [
            pool.submit(tour, tmp_path, exchange, choice.of(offset), lambda text: None, SPARE)
            for exchange, offset in (("binanceusdm", 0), ("bybit", 2))
        ]
        tours = [each.result() for each in running]
    sys.stdout.write(f"\n{table(tours)}\n")
    failures = [text for each in tours for text in each.failures]
    assert not failures, "\n\n".join(failures)
    missed = [text for each in tours for text in each.missed]
    crashes = [crash for each in tours for crash in each.crashes]
    assert len({crash.point.number for crash in crashes}) >= LEAST_POINTS, "\n".join(missed)
    # A hook that is gone would miss a whole part.
    assert {crash.point.phase for crash in crashes} == {point.phase for point in all_points()}, "\n".join(missed)


def test_a_hook_stands_between_all_statements_and_changes_nothing_else() -> None:
    points = all_points()
    assert [point.number for point in points] == list(range(len(points)))
    assert len({str(point) for point in points}) == len(points)
    file = "actors/ticket.py"
    reached: list[int] = []
    scope: dict[str, object] = {"__name__": "hooked", HOOK: reached.append}
    exec(compile(with_hooks(file), file, "exec"), scope)  # noqa: S102 - our own source
    ticket = scope["Ticket"](None)  # type: ignore[operator]
    ticket.settle()
    assert ticket.settled
    here = [points[number] for number in reached]
    assert {point.function for point in here} >= {"Ticket.__init__", "Ticket.settle", "Ticket.settled"}
    assert all(point.file == file for point in here)


def test_points_have_names_that_say_where_they_are() -> None:
    point = next(p for p in all_points() if p.function == "RequestDesk._answer" and p.place == AFTER)
    assert str(point) == f"actors/gateway.py:RequestDesk._answer:{point.line}:after"
    assert named(str(point)) is point
    assert "return" in (ROOT / point.file).read_text().splitlines()[point.line - 1]
    with pytest.raises(LookupError, match="nowhere"):
        named("actors/gateway.py:nowhere:1")
