"""docs/tour.md: each of its commands is typed, in its order, at a service like the one that it starts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import main
from adapters.admin import completion
from tests.end_to_end.command import ROOT, environment
from tests.end_to_end.service import ServiceProcess, running

TOUR = ROOT / "docs" / "tour.md"
COMMANDS = re.findall(r"^    \$ (holdfast .+)$", TOUR.read_text(), re.MULTILINE)
SAID = {
    "ctl watch": "positions",
    "ctl events type=trailing_moved": "trailing_moved",
    "ctl position.open": "XRPUSDT",
    "ctl position.show": "ACTIVE",
    "ctl actors ": "hung for",
    "ctl alerts": "ACTOR_CRASHED",
    "ctl events severity=error": "actor_hung",
    "ctl events position=": "position_error",
    "ctl report today --csv": "net_pnl",
    "ctl shutdown": "on the exchange",
}


def test_the_tour_is_walked_whole() -> None:
    assert len(COMMANDS) >= 12


@pytest.mark.chaos
def test_every_command_of_the_tour(tmp_path: Path) -> None:
    with running(tmp_path, {"chaos": {"enabled": True}}) as service:
        closed = service.open("ETHUSDT")
        service.move_mark("ETHUSDT", "2.5", steps=4, pause_s=0.3)
        service.wait_event("trailing_moved", position=closed["id"])
        service.ctl("position.close", id=closed["id"])
        service.wait_state(closed["id"], "CLOSED")
        service.wait_price("XRPUSDT")
        owner = 0
        for command in COMMANDS:
            if command.startswith("holdfast ctl position.show"):
                owner = service.wait_for(lambda: service.positions(symbol="XRPUSDT"), 20, "it")[0]["id"]
                service.wait_state(owner, "ACTIVE")
            typed = command.replace("ID", str(owner)).replace("FILE", str(tmp_path / "book.backup"))
            done = type_in(service, typed)
            assert done.returncode == 0, f"{typed}\n{done.stdout}\n{done.stderr}"
            wanted = next((said for start, said in SAID.items() if f"{typed} ".startswith(f"holdfast {start}")), "")
            assert wanted in done.stdout, f"{typed}\n{done.stdout}"
            if "how=hang" in typed:
                service.wait_event("position_error", position=owner)
                service.wait_event("position_recovered", position=owner)
            if "how=exception" in typed:
                service.wait_event("actor_restarted", limit_s=20)


def type_in(service: ServiceProcess, typed: str) -> subprocess.CompletedProcess[str]:
    """Type it into a shell that knows `holdfast` from the completion script."""
    script = completion.script("bash", main.COMMANDS, python=sys.executable, main_py=str(ROOT / "main.py"))
    line = f"{script}\n{typed} --settings '{service.settings}'"
    return subprocess.run(
        ["bash", "-c", line], cwd=ROOT, env=environment({}), capture_output=True, text=True, timeout=60, check=False
    )
