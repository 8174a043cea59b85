"""The command line of `crash_at`: list the points, visit one or all of them."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.chaos.crash_points import Point, all_points, named
from tests.chaos.crash_stage import When
from tests.chaos.crash_tour import Census, Visit, table, tour

EXCHANGES = ("binanceusdm", "bybit")


def visit(words: Sequence[str], description: str) -> int:
    """Exit code 1 if anything was wrong at any point."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.crash_at", description=description.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="every point, by phase")
    what.add_argument("--all", action="store_true", help="kill at each point that is reached")
    what.add_argument("--point", help="kill at one")
    parser.add_argument("--nth", type=int, default=1, help="which time it is reached")
    parser.add_argument("--every", type=int, default=1, help="with --all: only each so-and-so-many-th")
    parser.add_argument("--from", type=int, default=0, dest="first", help="with --all: from this number on")
    parser.add_argument("--exchange", choices=EXCHANGES, action="append", help="default: both")
    asked = parser.parse_args(words)
    if asked.list:
        return _list()
    if asked.point:
        point = named(asked.point)
        return _visit(asked.exchange, lambda census: [_when(census, point, asked.nth)])

    def everything(census: Census) -> list[Visit]:
        found = [(when, point, 1) for when, counts in census.items() for point in all_points() if counts[point.number]]
        return _once(found)[asked.first :: asked.every]

    return _visit(asked.exchange, everything)


def _list() -> int:
    for point in all_points():
        sys.stdout.write(f"{point.number:5} {point.phase:14} {point}\n")
    return 0


def _once(visits: Sequence[Visit]) -> list[Visit]:
    """A point in a life only, unless no life reaches it."""
    first: dict[int, Visit] = {}
    for visit in visits:
        first.setdefault(visit[1].number, visit)
    return list(first.values())


def _when(census: Census, point: Point, nth: int) -> Visit:
    """What reaches the point. Raises LookupError."""
    for when in When:
        if census[when][point.number]:
            return when, point, nth
    raise LookupError(f"{point}: neither a life nor a start comes there")


def _visit(exchanges: Sequence[str] | None, choose: Callable[[Census], Sequence[Visit]]) -> int:
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="holdfast-crash-"))
    folder.chmod(0o755)
    names = exchanges or EXCHANGES
    with ThreadPoolExecutor(len(names)) as pool:
        running = [pool.submit(tour, folder, name, choose, _say) for name in names]
        tours = [each.result() for each in running]
    sys.stdout.write(table(tours) + "\n")
    reached = set().union(*(each.reached for each in tours))
    never = Counter(point.phase for point in all_points() if point.number not in reached)
    sys.stdout.write(f"never reached by these lives: {sum(never.values())} of {len(all_points())}: {dict(never)}\n")
    failures = [text for each in tours for text in (*each.failures, *each.missed)]
    sys.stdout.write("".join(f"\n{text}\n" for text in failures))
    sys.stdout.write(f"{len(failures)} failures in {time.monotonic() - begun:.0f} s\n")
    return 1 if failures else 0


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()
