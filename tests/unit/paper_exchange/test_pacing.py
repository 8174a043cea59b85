"""When prices move, and whose stand still."""

import asyncio
from pathlib import Path

import pytest

from adapters.paper_exchange.orders import Event, Price
from adapters.paper_exchange.pacing import Pacer
from tests.unit.paper_exchange.hand import Hand
from tests.unit.paper_exchange.venue import Venue


@pytest.mark.parametrize(
    ("command", "asked"),
    [("freeze", {"on": True, "symbol": "BTCUSDT"}), ("halt", {"on": True, "symbol": "BTCUSDT"})],
)
def test_one_symbol_stands_still_while_the_other_moves(tmp_path: Path, command: str, asked: dict[str, object]) -> None:
    venue = Venue(tmp_path, volatility="0.75")
    Hand(venue)(command, **asked)
    moved: list[str] = []

    async def run() -> None:
        enough = asyncio.Event()

        def hear(_now: int, events: list[Event]) -> None:
            moved.extend(event.symbol for event in events if isinstance(event, Price))
            if len(moved) >= 4:
                enough.set()

        venue.exchange.listeners.append(hear)
        pacer = asyncio.create_task(Pacer(venue.exchange, venue.dialect).run())
        await asyncio.wait_for(enough.wait(), 10)
        pacer.cancel()

    asyncio.run(run())
    venue.close()
    assert set(moved) == {"ETHUSDT"}
