"""Signals over a real WebSocket: good, doubled, malformed, absurd; each is answered for and none disturbs the rest."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.end_to_end.service import ServiceProcess
from tests.end_to_end.signal_source import SignalSource, signal_row


def fresh() -> str:
    return f"sig-{uuid.uuid4().hex[:12]}"


def outcome(service: ServiceProcess, name: str) -> dict[str, object]:
    """The event that answers for a signal."""
    found: dict[str, object] = service.wait_for(
        lambda: next(
            (
                e
                for e in (*service.events(type="signal_accepted"), *service.events(type="signal_refused"))
                if name in json.dumps(e)
            ),
            None,
        ),
        20,
        f"an answer for signal {name}",
    )
    return found


def of_symbol(service: ServiceProcess, symbol: str) -> list[dict[str, object]]:
    return list(service.positions(symbol=symbol))


def test_same_signal_twice_opens_once(shared: ServiceProcess, source: SignalSource) -> None:
    row = signal_row(fresh(), "DOGEUSDT")
    source.signals(row, row)
    position = shared.wait_for(lambda: of_symbol(shared, "DOGEUSDT"), 20, "a position")[0]
    shared.wait_state(position["id"], "ACTIVE")
    source.signals(row)
    twin = {**row, "id": fresh()}
    source.signals(twin)
    refused = outcome(shared, str(twin["id"]))
    assert refused["type"] == "signal_refused"
    assert len(of_symbol(shared, "DOGEUSDT")) == 1
    entries = [life for life in shared.verdict().open_lives if life.key[0] == "DOGEUSDT"]
    assert [life.owner for life in entries] == [position["id"]]


MALFORMED = (
    "not json",
    "[]",
    "{}",
    '{"type": "signals"}',
    '{"type": "signals", "signals": {}}',
    '{"type": "signals", "signals": [null, 7, "x"]}',
    json.dumps({"type": "signals", "signals": [{"id": "m1"}]}),
    json.dumps({"type": "signals", "signals": [{**signal_row("m2", "1000PEPEUSDT"), "action": None}]}),
    json.dumps({"type": "signals", "signals": [signal_row("m3", "1000PEPEUSDT", created_at="yesterday")]}),
    json.dumps({"type": "signals", "signals": [signal_row("m4", "1000PEPEUSDT", score_week=float("nan"))]}),
    json.dumps({"type": "signals", "signals": [signal_row("m5", "1000PEPEUSDT", score_week="lots")]}),
    json.dumps({"type": "signals", "signals": [signal_row("", "1000PEPEUSDT")]}),
    json.dumps({"type": "unheard-of"}),
)


def test_malformed_frames_are_recorded_and_skipped(shared: ServiceProcess, source: SignalSource) -> None:
    before = len(shared.events(type="signal_malformed"))
    for frame in MALFORMED:
        source.send(frame)
    source.send(b"\xff\xfe\x00")
    last = fresh()
    source.signals(signal_row(last, "NOSUCHUSDT"))
    assert outcome(shared, last)["type"] == "signal_refused"
    recorded = shared.events(type="signal_malformed")[before:]
    assert len(recorded) >= len(MALFORMED) - 3
    assert of_symbol(shared, "1000PEPEUSDT") == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"symbol": "NOSUCHUSDT"}, "symbol"),
        ({"age_s": 100_000}, "stale"),
        ({"exchange": "kraken"}, "exchange"),
        ({"account": "nobody"}, "account"),
        ({"action": "HOLD"}, "unsupported_action"),
    ],
)
def test_refused_with_code_and_figures(
    shared: ServiceProcess, source: SignalSource, change: dict[str, object], code: str
) -> None:
    name = fresh()
    wanted: dict[str, object] = {"symbol": "1000PEPEUSDT", **change}
    age_s = float(str(wanted.pop("age_s", 0)))
    source.signals({**signal_row(name, "1000PEPEUSDT", age_s=age_s), **wanted})
    event = outcome(shared, name)
    assert event["type"] == "signal_refused"
    assert code in json.dumps(event["data"])
    assert of_symbol(shared, "1000PEPEUSDT") == []


def test_close_signal_closes(shared: ServiceProcess, source: SignalSource) -> None:
    opened = shared.open("1000PEPEUSDT", "short")
    source.signals(signal_row(fresh(), "1000PEPEUSDT", "CLOSE"))
    shared.wait_state(opened["id"], "CLOSED")


def test_resumes_from_the_last_stored_signal(shared: ServiceProcess, source: SignalSource) -> None:
    name = fresh()
    source.signals(signal_row(name, "NOSUCHUSDT"))
    outcome(shared, name)
    greeted = len(source.hellos)
    source.hang_up()
    source.wait_hellos(greeted + 1)
    assert source.hellos[-1] == {"type": "hello", "last_id": name}
