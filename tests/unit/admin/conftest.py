"""A control socket with a small service behind it."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.admin.client import AdminClient
from adapters.admin.parameters import Parameters, required
from adapters.admin.protocol import METHOD_NOT_FOUND, REFUSED, UNKNOWN_ID, AdminError, Caller
from adapters.admin.server import AdminServer

Serve = Callable[..., AdminServer]


class SmallService:
    """Answers a few methods; `gate` holds up `blocked`, `closed` is set when a follower's stream is closed."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.blocked = threading.Semaphore(0)
        self.closed = threading.Event()
        self.calls: list[tuple[str, Caller]] = []

    def __call__(self, method: str, params: dict[str, object], caller: Caller) -> object:
        self.calls.append((method, caller))
        match method:
            case "echo":
                return params
            case "money":
                return {"amount": Decimal("1E+3"), "small": Decimal("1E-8"), "at": datetime(2026, 1, 2, 3, tzinfo=UTC)}
            case "blocked":
                self.blocked.release()
                self.gate.wait(20)
                return "done"
            case "big":
                return "x" * (4 << 20)
            case "ticks":
                return self._ticks()
            case "refuse":
                raise AdminError(REFUSED, "spread too wide", {"spread_pct": Decimal("0.30"), "limit_pct": "0.1"})
            case "show":
                read = Parameters(params)
                position = required("id", read.whole("id"))
                read.done()
                raise AdminError(UNKNOWN_ID, f"there is no position {position}")
            case "fail":
                raise RuntimeError("password=hunter2")
            case "exit":
                raise SystemExit(3)
            case "odd":
                return {"value": object()}
            case "nan":
                return float("nan")
        raise AdminError(METHOD_NOT_FOUND, f"there is no method {method}")

    def _ticks(self) -> Iterator[object]:
        count = 0
        try:
            while True:
                count += 1
                yield {"tick": count} if count % 2 else None
        finally:
            self.closed.set()


@pytest.fixture
def small() -> Iterator[SmallService]:
    service = SmallService()
    yield service
    service.gate.set()


@pytest.fixture
def serve(tmp_path: Path, small: SmallService) -> Iterator[Serve]:
    started: list[AdminServer] = []

    def start(**options: object) -> AdminServer:
        server = AdminServer(tmp_path / f"s{len(started)}.sock", small, **options)  # type: ignore[arg-type]
        started.append(server)
        server.start()
        return server

    yield start
    small.gate.set()
    for server in started:
        server.stop()


@pytest.fixture
def server(serve: Serve) -> AdminServer:
    return serve()


@pytest.fixture
def client(server: AdminServer) -> Iterator[AdminClient]:
    with AdminClient(server.path, timeout_s=10) as client:
        yield client


def answers(server: AdminServer) -> bool:
    """Whether a new client gets a right answer."""
    with AdminClient(server.path, timeout_s=10) as client:
        return bool(client.call("echo", {"a": 1}) == {"a": 1})
