"""Many crash points one after another on one dialect: which are reached, which are visited, what came of each.

Rules of this file: whether a point can be reached is found out by letting the same life live first (`census`), never
written down. A point that was chosen and is not reached is a miss: some are there only if two threads meet, or if the
machine is slow. What goes wrong at one point is kept with its state directory, and the tour goes on in a new one.
"""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.crash_points import Point, all_points
from tests.chaos.crash_stage import Chain, Crash, NotReached, When, chained

HITS_LIMIT = 15
FAILURES_LIMIT = 12
Census = Mapping[When, Sequence[int]]
Visit = tuple[When, Point, int]


@dataclass(slots=True, kw_only=True)
class Tour:
    """What was seen on the way."""

    exchange: str
    crashes: list[Crash] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    reached: set[int] = field(default_factory=set)


def tour(
    folder: Path,
    exchange: str,
    choose: Callable[[Census], Sequence[Visit]],
    say: Callable[[str], None],
    spare: int = 0,
) -> Tour:
    """Visit what `choose` makes of the census; `say` hears of each. Failed state directories stay in `folder`.

    `spare`: so many of them, the last, are visited only as far as others were not reached.
    """
    seen = Tour(exchange=exchange)
    with ExitStack() as ending:
        chain = ending.enter_context(chained(_fresh(folder), exchange))
        census = {when: chain.census(when) for when in When}
        seen.reached = {number for counts in census.values() for number, count in enumerate(counts) if count}
        visits = choose(census)
        for when, point, nth in visits:
            if len(seen.crashes) + len(seen.failures) == len(visits) - spare:
                continue
            try:
                crash = chain.kill_at(point, nth, when)
            except NotReached as missed:
                seen.missed.append(f"{exchange}: {missed}")
                say(f"{exchange:12} NOT REACHED {missed}")
            except Exception:
                kept = chain.service.base
                seen.failures.append(f"{exchange}: {point} in {when}, kept in {kept}:\n{traceback.format_exc()}")
                say(f"{exchange:12} FAILED {point} in {when}, kept in {kept}\n{traceback.format_exc(limit=-1)}")
                if len(seen.failures) >= FAILURES_LIMIT:
                    break
                ending.close()
                chain = ending.enter_context(chained(_fresh(folder), exchange))
            else:
                seen.crashes.append(crash)
                say(f"{exchange:12} {line(crash)}")
        else:
            _finish(chain, seen)
    return seen


def spread(
    counts: Sequence[int], number: int, offset: int, phases: Sequence[str] = (), but: Collection[int] = ()
) -> list[tuple[Point, int]]:
    """So many of the reached points, evenly over the functions of the path; `offset` varies which of a function's.

    `but`: the numbers of points that are visited elsewhere.
    """
    wanted = [p for p in all_points() if not phases or p.phase in phases]
    reached = [p for p in wanted if counts[p.number] and p.number not in but]
    functions: dict[tuple[str, str], list[Point]] = {}
    for point in reached:
        functions.setdefault((point.file, point.function), []).append(point)
    places = list(functions.values())
    chosen: dict[int, tuple[Point, int]] = {}
    for turn in range(number * 3):
        if len(chosen) == number:
            break
        points = places[(turn * len(places) // number + turn // number + offset) % len(places)]
        point = points[(turn * 5 + offset) % len(points)]
        nth = 1 + (turn * 4 + offset) % min(counts[point.number], HITS_LIMIT)
        chosen.setdefault(point.number, (point, nth))
    return list(chosen.values())


def line(crash: Crash) -> str:
    """One row of the table."""
    return (
        f"{crash.point.phase:13} {crash.stage:14} {crash.socket_s:5.2f} {crash.whole_s:5.2f}  "
        f"{crash.point} ({crash.nth}.) in {crash.when}"
    )


def table(tours: Sequence[Tour]) -> str:
    """All of them, and what they cost."""
    head = "  exchange     of the path   died in        socket whole  point (which time)"
    rows = [f"  {each.exchange:12} {line(crash)}" for each in tours for crash in each.crashes]
    whole = sorted(crash.whole_s for each in tours for crash in each.crashes)
    if not whole:
        return "no point was visited"
    middle, most = whole[len(whole) // 2], whole[-1]
    places = len({crash.point.number for each in tours for crash in each.crashes})
    last = f"  {len(whole)} kills at {places} points: start to everything owned, s: median {middle:.2f}, max {most:.2f}"
    return "\n".join([head, *rows, last])


def _finish(chain: Chain, seen: Tour) -> None:
    try:
        chain.finish()
    except AssertionError as error:
        seen.failures.append(f"{seen.exchange}: at the end, kept in {chain.service.base}: {error}")


def _fresh(folder: Path) -> Path:
    made = Path(tempfile.mkdtemp(prefix="crash-", dir=folder))
    made.chmod(0o755)
    return made
