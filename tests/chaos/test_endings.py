"""How the process ends: a root that hangs, a stop during a hang, a stop asked for twice; what it says when asked."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.service import ServiceProcess, running

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

NOTICED_S = 5.0
"""The root is given 2 s, main looks twice a second; the rest is the machine's."""
OWNED_AGAIN_S = 15.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    base: Path = tmp_path_factory.mktemp("endings")
    with running(base, {"chaos": {"enabled": True}}) as started:
        yield started


def ended(service: ServiceProcess, limit_s: float) -> int:
    process = service._process
    assert process is not None
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"still there after {limit_s} s\n{service.log_tail()}") from None


def test_the_ways_to_end(service: ServiceProcess) -> None:
    opened = service.open("BTCUSDT")
    os.kill(service.pid, signal.SIGUSR1)
    service.wait_for(lambda: "--- gateway/main#1" in service.output.read_text(), 20, "the stacks of all threads")

    service.ctl("actors.kill", name="root", how="hang")
    hung = time.monotonic()
    assert ended(service, 20.0) == 1
    assert time.monotonic() - hung < NOTICED_S, "a hung root is found out at once"
    assert "ROOT_UNHEALTHY" in service.output.read_text()

    service.restart()
    service.wait_state(opened["id"], "ACTIVE", limit_s=OWNED_AGAIN_S)
    service.ctl("actors.kill", name="root", how="exit")
    assert ended(service, 20.0) == 1, "nothing watches the tree any more"

    service.restart()
    service.wait_state(opened["id"], "ACTIVE", limit_s=OWNED_AGAIN_S)
    service.ctl("actors.kill", name="reconciler/main", how="hang")
    assert service.interrupt() == 0, "a stop in order, whoever hangs"

    service.restart()
    service.wait_state(opened["id"], "ACTIVE", limit_s=OWNED_AGAIN_S)
    service.ctl("actors.kill", name="journal", how="hang")
    os.kill(service.pid, signal.SIGTERM)
    time.sleep(1.2)
    if service.alive:
        os.kill(service.pid, signal.SIGTERM)
        assert ended(service, 10.0) in (0, 1), "asked twice, it does not wait for anybody"

    service.restart()
    service.wait_state(opened["id"], "ACTIVE", limit_s=OWNED_AGAIN_S)
    assert [p["id"] for p in service.positions()] == [opened["id"]]
