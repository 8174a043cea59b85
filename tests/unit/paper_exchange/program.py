"""The paper exchange as a process of its own: start, kill, control, and a real ccxt client for it."""

import json
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import ccxt.pro

ROOT = Path(__file__).resolve().parents[3]
STARTS_WITHIN_S = 15.0


class Program:
    """One process on one state directory, which may be started again after its end."""

    def __init__(self, state_dir: Path, *options: str) -> None:
        self.state_dir = state_dir
        self._options = options
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> "Program":
        announcement = self.state_dir / "endpoint.json"
        announcement.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "adapters.paper_exchange", "--state-dir", str(self.state_dir), *self._options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        # It prints its one line when it listens; an exit closes the pipe.
        line = self._process.stdout.readline()
        assert line.startswith("PAPER_EXCHANGE"), f"did not start: exit code {self._process.wait(STARTS_WITHIN_S)}"
        self.endpoint: dict[str, Any] = json.loads(announcement.read_text())
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the process; returns its exit code."""
        assert self._process is not None
        self._process.send_signal(how)
        code = self._process.wait(STARTS_WITHIN_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return code

    def close(self) -> None:
        if self._process is not None:
            self.stop(signal.SIGKILL)

    def control(self, command: str, **asked: object) -> dict[str, Any]:
        """A control request; an error reply comes back as its body."""
        connection = HTTPConnection(self.endpoint["host"], self.endpoint["port"], timeout=10)
        try:
            connection.request("POST", f"/control/{command}", json.dumps(asked))
            result: dict[str, Any] = json.load(connection.getresponse())
            return result
        finally:
            connection.close()

    def client(self, **options: object) -> Any:
        """An unmodified ccxt.pro client, configured as VENUES B.4 says."""
        rest, stream = self.endpoint["rest_url"], self.endpoint["ws_url"]
        paths = {
            "sapi": "/sapi/v1",
            "fapiPublic": "/fapi/v1",
            "fapiPublicV2": "/fapi/v2",
            "fapiPublicV3": "/fapi/v3",
            "fapiPrivate": "/fapi/v1",
            "fapiPrivateV2": "/fapi/v2",
            "fapiPrivateV3": "/fapi/v3",
            "fapiData": "/futures/data",
            "public": "/api/v3",
            "private": "/api/v3",
        }
        urls: dict[str, Any] = {name: rest + path for name, path in paths.items()}
        urls["ws"] = {"linear": stream + "/ws", "ws-api": {"linear": stream + "/ws-fapi/v1"}}
        settings = {
            "apiKey": "paper",
            "secret": "paper",
            "urls": {"api": urls},
            "enableRateLimit": False,
            "options": {"fetchCurrencies": False, **options},
        }
        client = ccxt.pro.binanceusdm(settings)
        client.get_exceptions_by_url = lambda _url, kind: client.exceptions.get("linear", {}).get(kind, {})
        return client


def wait_until(true: Any, *, within_s: float = 10.0) -> None:
    """Poll something that no event tells about."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
