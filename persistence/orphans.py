"""Servers that a killed parent left behind: found by where they work, never by a number in a file.

A number may belong to anybody by now; a working directory is the data directory or it is not.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil

_STOP_LIMIT_S = 30
_KILL_LIMIT_S = 5
_POLL_S = 0.02


class CannotEnd(Exception):
    """Processes that work in a data directory go on after every signal."""


def stop_orphans(data: Path) -> None:
    """End what a killed parent left running on `data`: in order first, hard when it does not obey.

    Raises CannotEnd when something is left.
    """
    for order, limit_s in (
        (signal.SIGINT, _STOP_LIMIT_S),
        (signal.SIGQUIT, _KILL_LIMIT_S),
        (signal.SIGKILL, _KILL_LIMIT_S),
    ):
        found = _processes_in(data)
        if not found:
            return
        numbers = {process.pid for process in found}
        postmasters = [p for p in found if _parent(p) not in numbers] or found
        for process in postmasters if order != signal.SIGKILL else found:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.send_signal(order)
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline and _processes_in(data):
            time.sleep(_POLL_S)
    left = [process.pid for process in _processes_in(data)]
    if left:
        raise CannotEnd(f"{data}: in use by processes that cannot be ended: {left}")


def _processes_in(data: Path) -> list[psutil.Process]:
    """The server processes of `data`: by working directory; where that is hidden from us, by the postmaster's words."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            try:
                ours = process.cwd() == str(data)
            except psutil.AccessDenied:
                ours = process.cmdline()[1:3] == ["-D", str(data)] and process.uids().real == data.stat().st_uid
            if ours and process.pid != os.getpid():
                found.append(process)
    return found


def _parent(process: psutil.Process) -> int:
    try:
        return int(process.ppid())
    except psutil.NoSuchProcess:
        return 0
