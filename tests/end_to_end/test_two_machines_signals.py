"""Two machines fed the same signals, one killed -9 with a wave in its hands: one position a signal, no wave too big.

How it would show that it is broken: a second position on a symbol, more entries than places, a signal without an answer
(SYSTEM A2, A4; LAWS S7, S10). The signal server replays everything at each connection, each signal under two ids.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from domain.identity import OrderKind, parse_client_id
from tests.actors.desk.rude_source import RudeSource
from tests.end_to_end.machines import Common, Machine, common_ground
from tests.end_to_end.signal_source import signal_row

pytestmark = pytest.mark.chaos
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "LTCUSDT", "DOGEUSDT")
PLACES = 3
MINUTES: set[datetime] = set()


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Common]:
    with common_ground(tmp_path_factory.mktemp("fed")) as common:
        yield common


def unused_minute() -> datetime:
    """The newest minute in which no wave before this one was made: two of one minute are twins (SYSTEM A4)."""
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    while minute in MINUTES:
        minute -= timedelta(minutes=1)
    MINUTES.add(minute)
    return minute


class Wave:
    """Six signals and their twins, replayed to whoever comes once they are let go."""

    def __init__(self, name: str) -> None:
        made = unused_minute().isoformat()
        rows = [
            signal_row(f"{name}-{kind}-{symbol}", symbol, wave=name, created_at=made, score_week=90 - rank)
            for kind in ("first", "twin")
            for rank, symbol in enumerate(SYMBOLS)
        ]
        self.ids = [str(row["id"]) for row in rows]
        self.name = name
        self.frame = json.dumps({"type": "signals", "signals": rows})

    async def script(self, connection: ServerConnection, _: dict[str, Any]) -> None:
        await connection.send(self.frame)


def entries(ground: Common, ours: set[int]) -> Counter[str]:
    """How many of these positions sent an entry, by symbol, as the exchange saw it."""
    sent: set[tuple[str, int]] = set()
    for line in ground.lines():
        params = line.get("params") or {}
        order = parse_client_id(params.get("newClientOrderId")) if line.get("kind") == "request" else None
        if order is not None and order.kind is OrderKind.ENTRY and order.position_id in ours:
            sent.add((params["symbol"], order.position_id))
    return Counter(symbol for symbol, _ in sent)


def close_all(machine: Machine) -> None:
    for position in machine.positions():
        machine.ctl("position.close", id=position["id"])
    machine.wait_for(lambda: not machine.positions() or None, 30, "everything closed")


@pytest.mark.parametrize(
    ("moment", "window_s"),
    [("SIGNAL_RECEIVED", 3), ("ORDER_PLACED", 0.5), ("SLTP_PLACED", 0.5)],
    ids=["stored and not acted on", "first order out", "first one protected"],
)
def test_a_wave_survives_the_death_of_whoever_works_it(ground: Common, moment: str, window_s: float) -> None:
    wave = Wave(f"{moment.lower()}-{datetime.now(UTC):%H%M%S}")
    with RudeSource(wave.script) as source:
        sections: dict[str, Any] = {
            "signals": {"url": source.url},
            "entries": {"cooldown_s": 0, "wave_window_s": window_s, "max_per_wave": PLACES},
            "sizing": {"position_size_usd": 200},
        }
        first = ground.machine(f"{wave.name}-one", standby=True, **sections)
        second = ground.machine(f"{wave.name}-two", standby=True, **sections)
        first.launch()
        first.wait_leads(60)
        second.launch()
        first.wait_said(moment, 60)
        first.kill9()
        second.wait_leads(60)

        def answered() -> bool:
            rows = ground.rows(f"SELECT is_processed FROM fas.signals WHERE wave = '{wave.name}'")
            return len(rows) == len(wave.ids) and all(row[0] for row in rows)

        second.wait_for(lambda: answered() or None, 60, "an answer for every signal")
        opened = ground.rows(
            "SELECT p.id, p.symbol, p.status FROM monitoring.positions p JOIN fas.signals s ON s.id = p.signal_id "
            f"WHERE s.wave = '{wave.name}'"
        )
        sent = entries(ground, {row[0] for row in opened})
        assert all(count == 1 for count in sent.values()), sent
        assert len([row for row in opened if row[2] != "failed"]) == PLACES, opened
        assert set(sent) <= set(SYMBOLS)
        outcomes = Counter(
            row[0] for row in ground.rows(f"SELECT outcome FROM fas.signals WHERE wave = '{wave.name}'")
        )
        assert outcomes["opened"] == len(opened), outcomes
        close_all(second)
        second.terms = first.terms
        second.interrupt()
