"""One life under one correlation id, from the signal to the close: read back, followed live, and summed up."""

from __future__ import annotations

import csv
import io
import threading
import uuid
from decimal import Decimal
from typing import Any

import pytest

from adapters.admin.client import AdminClient
from adapters.admin.protocol import INVALID_PARAMS, AdminError
from tests.end_to_end.service import ServiceProcess
from tests.end_to_end.signal_source import SignalSource, signal_row

SYMBOL = "DOTUSDT"
# In this order, whatever else happens between them; the fill is told by the stream or the reply, whichever comes first.
LIFE = (
    "signal_received", "signal_accepted", "position_created", "entry_placed", "stop_loss_placed", "position_protected",
    "trailing_moved", "stop_loss_triggered", "position_closed",
)  # fmt: skip
OVER = "position_closed"


class Follower:
    """What `events.follow` tells of one correlation id from now on, heard on a thread of its own."""

    def __init__(self, service: ServiceProcess, correlation: str) -> None:
        self.heard: list[dict[str, Any]] = []
        self.over = threading.Event()
        self._client = AdminClient(service.state_dir / "admin.sock", timeout_s=20)
        # A stream begins when its thread does: what is written before that is after this number all the same.
        newest = service.ctl("events", limit=1)["next_since"]
        self._wanted = {"correlation": correlation, "since": newest}
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with self._client as client:
            for event in client.follow("events.follow", self._wanted):
                self.heard.append(event)
                if event["type"] == OVER:
                    break
        self.over.set()


def test_a_life_from_the_signal_to_the_close(shared: ServiceProcess, source: SignalSource) -> None:
    shared.wait_price(SYMBOL)
    name = f"story-{uuid.uuid4().hex[:8]}"
    follower = Follower(shared, name)
    source.signals(signal_row(name, SYMBOL))
    opened = shared.wait_for(lambda: shared.positions(symbol=SYMBOL), 20, "a position")[0]
    shared.wait_event("entry_filled", position=opened["id"])
    top = shared.move_mark(SYMBOL, "2.5", steps=4, pause_s=0.3)
    shared.wait_trailed(opened["id"], top)
    shared.move_mark(SYMBOL, "-2")
    shared.wait_state(opened["id"], "CLOSED")

    told = shared.ctl("events", correlation=name)["events"]
    assert {event["correlation_id"] for event in told} == {name}
    types = [event["type"] for event in told]
    places = [types.index(kind) for kind in LIFE]
    assert places == sorted(places), types
    assert types[-1] == OVER
    assert {"entry_filled", "fill", "trailing_stop_created", "trailing_activated"} <= set(types)
    of_position = {event["position_id"] for event in told} - {None}
    assert of_position == {opened["id"]}
    by_position = [event["seq"] for event in shared.events(position=opened["id"])]
    assert set(by_position) <= {event["seq"] for event in told}

    assert follower.over.wait(20)
    assert [event["seq"] for event in follower.heard] == [event["seq"] for event in told]

    report = shared.ctl("report")
    row = next(row for row in report["closed"] if row["id"] == opened["id"])
    closed = next(event for event in told if event["type"] == OVER)["data"]
    assert (row["exit_reason"], row["stop_moves"]) == (closed["reason"], closed["stop_updates"])
    assert Decimal(row["net_pnl"]) == Decimal(closed["net_pnl"])
    assert Decimal(report["net_pnl"]) == sum(Decimal(each["net_pnl"]) for each in report["closed"])
    assert report["stop_moves"] >= 1
    assert report["signals"]["acted_on"] >= 1
    printed = shared.main("ctl", "report", "today", "--csv")
    assert printed.returncode == 0, printed.stderr
    assert str(opened["id"]) in [each["id"] for each in csv.DictReader(io.StringIO(printed.stdout))]
    assert "win_rate_pct" in shared.main("ctl", "report").stdout


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"day": "2026-13-01"}, "day"),
        ({"day": "today", "from": "2026-01-01"}, "day"),
        ({"to": "2026-01-01"}, "to"),
        ({"from": "2026-01-02", "to": "2026-01-01"}, "to"),
        ({"from": "2026-01-02T10:00:00"}, "from"),
        ({"account": "nobody"}, "account"),
    ],
)
def test_no_report_for_what_is_no_span(shared: ServiceProcess, params: dict[str, str], parameter: str) -> None:
    with pytest.raises(AdminError) as refusal:
        shared.ctl("report", **params)
    assert refusal.value.code == INVALID_PARAMS
    assert (refusal.value.data or {})["parameter"] == parameter


def test_watch_and_follow_as_a_person_runs_them(shared: ServiceProcess) -> None:
    shared.ctl("reconcile")
    picture = shared.main("ctl", "watch")
    assert picture.returncode == 0, picture.stderr
    assert "entries open" in picture.stdout
    assert "reconcile" in picture.stdout
