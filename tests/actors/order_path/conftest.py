"""A stage for each test, a database, and the check that nothing is left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pykka
import pytest
from loguru import logger

from persistence.embedded import EmbeddedPostgres
from tests.actors.order_path.house import Exchange, House, living
from tests.actors.order_path.stage import WAIT_S, Stage
from tests.persistence.conftest import (
    Query,
    _database,
    database,
    empty_database,
    reader,
    rows,
    server,
    template,
    writer,
)

__all__ = ["Query", "database", "empty_database", "reader", "rows", "server", "template", "writer"]


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A paper exchange for the tests of a file; its round trip is long enough to catch a request on its way."""
    exchange = Exchange(tmp_path_factory.mktemp("exchange"), latency_ms=20)
    yield exchange
    exchange.launcher.stop()


@pytest.fixture(scope="module")
def house(
    exchange: Exchange, server: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """The whole order path for the tests of a file."""
    for conninfo in _database(server, template):
        with living(exchange, conninfo, tmp_path_factory.mktemp("house")) as house:
            yield house


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every actor and every thread of ours is gone after a test, unless a house goes on living."""
    if "house" in request.fixturenames:
        yield
        return
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before and not t.name.startswith(("asyncio_", "pytest"))]
    for thread in left:
        thread.join(WAIT_S)
    assert [thread.name for thread in left if thread.is_alive()] == []
    assert pykka.ActorRegistry.get_all() == []


@pytest.fixture
def stage() -> Iterator[Stage]:
    """An empty stage."""
    stage = Stage()
    yield stage
    stage.stop()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Log lines as `LEVEL message`."""
    said: list[str] = []

    def sink(message: Any) -> None:
        said.append(f"{message.record['level'].name} {message.record['message']}")

    handle = logger.add(sink, level="DEBUG")
    yield said
    logger.remove(handle)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway waits for the journal until the test settles the ticket: no spool overtakes it on a slow machine."""
    monkeypatch.setattr("actors.sending.DURABLE_WITHIN_S", 30.0)
