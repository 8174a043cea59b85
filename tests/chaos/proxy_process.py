"""The fault proxy as a process of its own, and a hand on its control port."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.chaos.wire_faults import Strike, What
from tests.end_to_end.command import ROOT

START_LIMIT_S = 20.0


class ProxyProcess:
    """Started with a name and an address (host, port) for each route. Its control may be used by any thread."""

    def __init__(self, base: Path, upstreams: Mapping[str, tuple[str, int]], seed: int = 1) -> None:
        base.mkdir(parents=True, exist_ok=True)
        announce = base / "proxy.json"
        announce.unlink(missing_ok=True)
        routes = [w for name, (host, port) in upstreams.items() for w in ("--route", f"{name}={host}:{port}")]
        with (base / "proxy.out").open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.fault_proxy", "--announce", announce, "--seed", str(seed), *routes],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_LIMIT_S
        while not announce.exists():
            assert self._process.poll() is None, (base / "proxy.out").read_text()
            assert time.monotonic() < deadline, "the fault proxy did not come up"
            time.sleep(0.02)
        told = json.loads(announce.read_text())
        self._ports: dict[str, int] = told["routes"]
        self._lock = threading.Lock()
        self._socket = socket.create_connection(("127.0.0.1", told["control"]), timeout=10)
        self._answers = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._answers.close()
        self._socket.close()
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)

    def address(self, route: str) -> str:
        """Where a client of a route connects: host and port."""
        return f"127.0.0.1:{self._ports[route]}"

    def order(self, what: What, route: str, **body: object) -> int:
        """Let a fault wait for its chance, or cut the line; returns its number. Raises AssertionError if refused."""
        return int(self._ask({"do": "order", "what": what.value, "route": route, **body})["fault"])

    def heal(self) -> None:
        """Call off and lift everything."""
        self._ask({"do": "heal"})

    def strikes(self) -> list[Strike]:
        """All that has struck."""
        rows = self._ask({"do": "strikes"})["strikes"]
        return [Strike(**{**row, "what": What(row["what"])}) for row in rows]

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self._socket.sendall(json.dumps(asked).encode() + b"\n")
            answer: dict[str, Any] = json.loads(self._answers.readline())
        assert answer["ok"], answer["error"]
        return answer
