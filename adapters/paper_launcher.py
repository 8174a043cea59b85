"""Starts, finds again, watches and stops the paper exchange: a program of its own in a session of its own.

What a former service left running is used again (its endpoint file and a living process say where); a dead one is
started on the port it had, so that nobody's address changes. Only a process that we recognise by its command line is
ever stopped. One that speaks another venue's dialect than is wanted now is stopped and started anew on its state.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

START_LIMIT_S = 30.0
STOP_LIMIT_S = 5.0
LOOK_EVERY_S = 0.05


class PaperExchangeFailed(Exception):
    """The paper exchange cannot be started; the message holds the end of what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a paper exchange listens, and whose protocol it speaks ("" if it does not say)."""

    pid: int
    port: int
    rest_url: str
    ws_url: str
    dialect: str = ""


class PaperLauncher:
    """The paper exchange of one account. `program` is the command line up to the exchange's own options."""

    def __init__(
        self,
        directory: Path,
        program: Sequence[str],
        options: Sequence[str],
        port: int = 0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`directory` holds its state, its endpoint file and what it says (`exchange.out`)."""
        self._directory = directory.absolute()
        self._program = tuple(program)
        self._options = tuple(options)
        self._port = port
        self._sleep = sleep
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def endpoint_file(self) -> Path:
        """What the exchange announces itself in."""
        return self._directory / "endpoint.json"

    def start(self) -> Endpoint:
        """The running exchange, started if there is none. Raises PaperExchangeFailed."""
        running = self.running()
        if running is not None and self._dialect() not in ("", running.dialect):
            self.stop()
            running = None
        return running if running is not None else self._launch()

    def running(self) -> Endpoint | None:
        """The living exchange of this directory, or None."""
        endpoint = self._announced()
        if endpoint is None or not self._is_ours(endpoint.pid):
            return None
        return endpoint

    def ensure(self) -> bool:
        """Start it again if it died; whether that was needed. Raises PaperExchangeFailed."""
        if self._child is not None:
            self._child.poll()  # reap it: a zombie is no living exchange
        if self.running() is not None:
            return False
        self._launch()
        return True

    def stop(self) -> None:
        """End it in order, harder when it does not obey; also one that has not announced itself yet."""
        endpoint = self.running()
        if endpoint is not None and (self._child is None or self._child.pid != endpoint.pid):
            with suppress(psutil.NoSuchProcess):
                _end(psutil.Process(endpoint.pid))
        self._end_child()

    def _dialect(self) -> str:
        """The dialect that the options ask for, "" if they leave it open."""
        name = "--dialect"
        return self._options[self._options.index(name) + 1] if name in self._options else ""

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is not None and child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(STOP_LIMIT_S)

    def _launch(self) -> Endpoint:
        former = self._announced()
        port = self._port or (former.port if former is not None else 0)
        self.endpoint_file.unlink(missing_ok=True)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = [*self._program, "--state-dir", str(self._directory), "--port", str(port), *self._options]
        said = self._directory / "exchange.out"
        with said.open("ab") as out:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            endpoint = self._announced()
            if endpoint is not None and endpoint.pid == self._child.pid:
                return endpoint
            if self._child.poll() is not None:
                raise PaperExchangeFailed(f"the paper exchange ended with {self._child.returncode}: {_tail(said)}")
            self._sleep(LOOK_EVERY_S)
        self._end_child()
        raise PaperExchangeFailed(f"the paper exchange did not come up in {START_LIMIT_S:.0f} s: {_tail(said)}")

    def _announced(self) -> Endpoint | None:
        try:
            told = json.loads(self.endpoint_file.read_text())
            return Endpoint(
                pid=int(told["pid"]),
                port=int(told["port"]),
                rest_url=told["rest_url"],
                ws_url=told["ws_url"],
                dialect=str(told.get("dialect", "")),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None  # not announced (yet), or half written by a crash: the same as not running

    def _is_ours(self, pid: int) -> bool:
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return str(self._directory) in process.cmdline() and "paper-exchange" in process.cmdline()
        except psutil.Error:
            return False


def _end(process: psutil.Process) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_LIMIT_S)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(STOP_LIMIT_S)


def own_program() -> tuple[str, ...]:
    """How this very program starts its paper exchange."""
    main = Path(sys.modules["__main__"].__file__ or "main.py").absolute()
    return (sys.executable, str(main), "paper-exchange")


def _tail(file: Path) -> str:
    with file.open("rb") as said:
        said.seek(max(0, os.fstat(said.fileno()).st_size - 1000))
        return said.read().decode(errors="replace").strip()
