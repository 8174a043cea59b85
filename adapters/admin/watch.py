"""`ctl watch`: positions with their stops, actors and events on one screen, drawn anew each second; q quits.

Rules of this file: it only asks; a service that goes away is shown as away and asked for again; what does not fit the
screen is left out from the bottom, positions last; where there is no terminal one picture is printed.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from adapters.admin.client import AdminClient, NoService
from adapters.admin.protocol import AdminError
from adapters.admin.tables import SEVERITY_STYLES, WIDTH_WITHOUT_TERMINAL, actor_table, event_line, position_table

EVERY_S = 1.0
EVENTS = 60
DONE = 0
QUIT = ("q", "Q", "\x03", "\x04")
_LEAST_EVENTS = 4
_FRAME = 6  # the heading, and a heading and an empty line of each table

Connect = Callable[[], AdminClient]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What the service said at one moment."""

    status: Mapping[str, Any]
    positions: Sequence[Mapping[str, Any]]
    actors: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]


def run(connect: Connect, every_s: float, *, console: Console | None = None, keys: IO[str] | None = None) -> int:
    """Watch until q or Ctrl-C; returns the exit code. Without a terminal: one picture, or what the client raises."""
    screen = console or Console(highlight=False, markup=False, emoji=False)
    keyboard = keys or sys.stdin
    if not screen.is_terminal:
        screen.width = WIDTH_WITHOUT_TERMINAL
        with connect() as client:
            screen.print(draw(look(client), datetime.now().astimezone(), None))
        return DONE
    with _pressed(keyboard) as pressed, Live(console=screen, screen=True, auto_refresh=False) as live:
        while True:
            live.update(_view(connect, screen), refresh=True)
            if pressed(every_s) in QUIT:
                return DONE


def look(client: AdminClient) -> Picture:
    """Ask for everything. Raises AdminError, NoService, TimeoutError."""
    return Picture(
        status=client.call("status"),
        positions=client.call("positions")["positions"],
        actors=client.call("actors")["actors"],
        events=client.call("events", {"limit": EVENTS})["events"],
    )


def draw(picture: Picture, now: datetime, height: int | None) -> RenderableType:
    """The whole screen; `height` None: as long as it is."""
    room = None if height is None else max(height - _FRAME, _LEAST_EVENTS)
    lines = _heading(picture, now)
    shown: list[RenderableType] = [lines]
    positions = picture.positions if room is None else picture.positions[: max(room - _LEAST_EVENTS, 1)]
    shown.append(position_table(positions, now) if positions else Text("no positions"))
    if len(positions) < len(picture.positions):
        shown.append(Text(f"… and {len(picture.positions) - len(positions)} more"))
    odd = [actor for actor in picture.actors if actor.get("state") != "RUNNING" or actor.get("restarts")]
    left = None if room is None else room - len(positions)
    if odd:
        fallen = odd if left is None else odd[: max(left // 2, 1)]
        shown += [Text("\nactors that fell, or are not running", style="bold"), actor_table(fallen, now)]
        left = None if left is None else left - len(fallen) - 2
    events = picture.events if left is None else picture.events[-max(left - 2, _LEAST_EVENTS) :]
    shown.append(Text("\nevents", style="bold"))
    shown += [
        Text(event_line(event, now), style=SEVERITY_STYLES.get(str(event.get("severity", "")).upper(), ""),
             no_wrap=True, overflow="ellipsis")
        for event in reversed(events)
    ]  # fmt: skip
    return Group(*shown)


def _heading(picture: Picture, now: datetime) -> Text:
    status = picture.status
    entries = status.get("entries") or {}
    stops = sum(1 for position in picture.positions if position.get("stop_price") is not None)
    bare = status.get("unprotected_now")
    words = [
        f"{now:%H:%M:%S}",
        f"{status.get('mode')}{' dry run' if status.get('dry_run') else ''}",
        f"up {status.get('uptime_s')} s",
        f"{len(picture.positions)} positions, {stops} stops",
        f"unprotected now {bare}, today {status.get('unprotected_seconds_today')} s",
        "entries open" if entries.get("open") else f"ENTRIES CLOSED: {entries.get('why')}",
        f"{len(picture.actors)} actors",
    ]
    sick = [f"{c.get('name')} {c.get('state')}" for c in status.get("components") or [] if c.get("state") != "healthy"]
    style = "bold red" if bare else "bold yellow" if sick or not entries.get("open") else "bold"
    return Text("  ".join([*words, *sick]), style=style)


def _view(connect: Connect, screen: Console) -> RenderableType:
    now = datetime.now().astimezone()
    try:
        with connect() as client:
            return draw(look(client), now, screen.height)
    except (NoService, AdminError, TimeoutError) as away:
        why = str(away) or "no answer"
        return Text(f"{now:%H:%M:%S}  {why}; asking again", style="bold red")


@contextlib.contextmanager
def _pressed(keyboard: IO[str]) -> Iterator[Callable[[float], str]]:
    """Waits that long for a key, and gives it; '' when none came. The terminal is as it was when the block ends."""
    if not keyboard.isatty():
        yield _sleep
        return
    handle = keyboard.fileno()
    before = termios.tcgetattr(handle)
    tty.setcbreak(handle)

    def wait(seconds: float) -> str:
        ready, _, _ = select.select([handle], [], [], seconds)
        return os.read(handle, 1).decode(errors="replace") if ready else ""

    try:
        yield wait
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


def _sleep(seconds: float) -> str:
    time.sleep(seconds)
    return ""
