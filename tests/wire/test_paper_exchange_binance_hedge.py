"""An unmodified ccxt.pro client in hedge mode: both sides of a symbol, their stops and take-profits, the streams."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from tests.unit.paper_exchange.program import Program

pytestmark = pytest.mark.wire

SYMBOL = "BTC/USDT:USDT"
LONG, SHORT = {"positionSide": "LONG"}, {"positionSide": "SHORT"}
# VENUES T13: the snapshot of watch_positions is not wanted.
NO_SNAPSHOT = {"watchPositions": {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False}}


@pytest.fixture
def program(tmp_path: Any) -> Iterator[Program]:
    """A standing market at 64,000 with control endpoints."""
    program = Program(
        tmp_path, "--volatility", "0", "--partial-fills", "0", "--control", "--symbols", "BTCUSDT"
    ).start()
    yield program
    program.close()


def with_client(program: Program, trade: Callable[[Any], Awaitable[None]]) -> None:
    async def run() -> None:
        client = program.client(**NO_SNAPSHOT)
        try:
            await client.load_markets()
            await client.set_position_mode(True)
            await asyncio.wait_for(trade(client), 20)
        finally:
            await client.close()

    asyncio.run(run())


async def both(client: Any) -> None:
    """A long of 0.010 and a short of 0.020."""
    await client.create_order(SYMBOL, "market", "buy", "0.010", None, LONG)
    await client.create_order(SYMBOL, "market", "sell", "0.020", None, SHORT)


def test_two_positions_with_a_stop_and_a_take_profit_each(program: Program) -> None:
    async def trade(client: Any) -> None:
        assert (await client.fetch_position_mode())["hedged"] is True
        await both(client)
        positions = {row["side"]: row for row in await client.fetch_positions([SYMBOL])}
        assert {side: row["contracts"] for side, row in positions.items()} == {"long": 0.01, "short": 0.02}
        assert all(row["hedged"] for row in positions.values())
        stops = {
            side: await client.create_order(
                SYMBOL, kind, closing, quantity, None, {"triggerPrice": trigger, "workingType": "MARK_PRICE", **sided}
            )
            for side, kind, closing, quantity, trigger, sided in (
                ("long stop", "STOP_MARKET", "sell", "0.010", "63000.0", LONG),
                ("long profit", "TAKE_PROFIT_MARKET", "sell", "0.005", "65000.0", LONG),
                ("short stop", "STOP_MARKET", "buy", "0.020", "65500.0", SHORT),
                ("short profit", "TAKE_PROFIT_MARKET", "buy", "0.010", "62000.0", SHORT),
            )
        }
        await asyncio.to_thread(program.control, "price", symbol="BTCUSDT", mark="65100")
        amounts = {row["side"]: row["contracts"] for row in await client.fetch_positions([SYMBOL])}
        assert amounts == {"long": 0.005, "short": 0.02}
        await asyncio.to_thread(program.control, "price", symbol="BTCUSDT", mark="65600")
        assert [row["side"] for row in await client.fetch_positions([SYMBOL])] == ["long"]
        resting = {row["id"] for row in await client.fetch_open_orders(SYMBOL, params={"trigger": True})}
        assert resting == {stops["long stop"]["id"], stops["short profit"]["id"]}

    with_client(program, trade)


def test_ccxts_own_way_of_closing_in_hedge_mode(program: Program) -> None:
    async def trade(client: Any) -> None:
        await both(client)
        # ccxt turns these two into the side that is closed, and takes reduceOnly away (VENUES A.1).
        await client.create_order(SYMBOL, "market", "sell", "0.010", None, {"hedged": True, "reduceOnly": True})
        assert [row["side"] for row in await client.fetch_positions([SYMBOL])] == ["short"]
        with pytest.raises(ccxt.InvalidOrder, match="-2022"):
            await client.create_order(SYMBOL, "market", "sell", "0.010", None, LONG)
        with pytest.raises(ccxt.BadRequest, match="-1106"):
            await client.create_order(SYMBOL, "market", "buy", "0.010", None, {**SHORT, "reduceOnly": True})
        with pytest.raises(ccxt.OperationRejected, match="-4061"):
            await client.create_order(SYMBOL, "market", "buy", "0.010")
        with pytest.raises(ccxt.OperationRejected, match="-4068"):
            await client.set_position_mode(False)

    with_client(program, trade)


def test_the_stream_tells_which_side(program: Program) -> None:
    async def trade(client: Any) -> None:
        positions = asyncio.create_task(client.watch_positions([SYMBOL]))
        orders = asyncio.create_task(client.watch_orders(SYMBOL))
        await client.watch_mark_price(SYMBOL)
        await client.create_order(SYMBOL, "market", "sell", "0.020", None, SHORT)
        (row,) = await positions
        assert (row["side"], row["contracts"], row["info"]["ps"]) == ("short", 0.02, "SHORT")
        assert (await orders)[-1]["info"]["ps"] == "SHORT"
        positions = asyncio.create_task(client.watch_positions([SYMBOL]))
        await asyncio.to_thread(program.control, "liquidate", symbol="BTCUSDT", position_side="SHORT")
        flat = (await positions)[-1]
        assert (Decimal(flat["info"]["pa"]), flat["info"]["ps"]) == (Decimal(0), "SHORT")

    with_client(program, trade)
