"""Unmodified ccxt (asynchronous and streaming) against the paper exchange's Bybit dialect over HTTP and WebSocket."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import aiohttp
import ccxt.async_support
import pytest

from tests.unit.paper_exchange.bybit_program import SYMBOL, ccxt_client
from tests.unit.paper_exchange.program import Program, wait_until

pytestmark = pytest.mark.wire


_Params = ParamSpec("_Params")


def run_to_its_end(test: Callable[_Params, Coroutine[Any, Any, None]]) -> Callable[_Params, None]:
    """Let a coroutine be a test: a loop of its own, twenty seconds."""

    @wraps(test)
    def run(*args: _Params.args, **kwargs: _Params.kwargs) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 20))

    return run


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One exchange for this module; a test leaves it flat and without orders."""
    options = ("--dialect", "bybit", "--volatility", "0", "--partial-fills", "0", "--control")
    program = Program(tmp_path_factory.mktemp("bybit"), *options).start()
    yield program
    program.close()


@asynccontextmanager
async def client_of(program: Program, *, pro: bool = True) -> AsyncIterator[Any]:
    client = ccxt_client(program, pro=pro)
    try:
        await client.load_markets()
        yield client
    finally:
        await client.close()


@pytest.fixture(autouse=True)
def flat_again(program: Program) -> Iterator[None]:
    program.control("price", symbol="BTCUSDT", mark="64000", last="64000")
    yield

    async def clean() -> None:
        async with client_of(program, pro=False) as client:
            await client.cancel_all_orders(SYMBOL)
            for position in await client.fetch_positions([SYMBOL]):
                if position["contracts"]:
                    side = "sell" if position["side"] == "long" else "buy"
                    params = {"reduceOnly": True, "positionIdx": position["info"]["positionIdx"]}
                    await client.create_order(SYMBOL, "market", side, position["contracts"], None, params)

    asyncio.run(clean())


def entry(link: str, **more: Any) -> dict[str, Any]:
    return {"clientOrderId": link, "positionIdx": 0} | more


@run_to_its_end
async def test_an_entry_with_its_stop_moved_and_triggered(program: Program) -> None:
    async with client_of(program) as client:
        orders = asyncio.create_task(client.watch_orders())
        positions = asyncio.create_task(client.watch_positions())
        trades = asyncio.create_task(client.watch_my_trades())
        await _subscribed(client, 3)
        attached = {"stopLoss": {"triggerPrice": "63000"}, "slTriggerBy": "MarkPrice", "tpslMode": "Full"}
        made = await client.create_order(SYMBOL, "market", "buy", "0.010", None, entry("c-entry-1", **attached))
        assert (made["status"], made["clientOrderId"]) == (None, "c-entry-1"), "a reply says no more than the ids"
        watched = await asyncio.wait_for(orders, 20)
        assert [(row["id"], row["status"], row["filled"]) for row in watched] == [(made["id"], "closed", 0.01)]
        assert [row["side"] for row in await asyncio.wait_for(positions, 20)] == ["long"]
        assert [row["order"] for row in await asyncio.wait_for(trades, 20)] == [made["id"]]
        (stop,) = await client.fetch_open_orders(SYMBOL)
        assert (stop["triggerPrice"], stop["info"]["stopOrderType"], stop["status"]) == (63000.0, "StopLoss", "open")
        assert await _stop_loss(client) == "63000"

        move = {"category": "linear", "symbol": "BTCUSDT", "stopLoss": "63500", "slTriggerBy": "MarkPrice"}
        await client.private_post_v5_position_trading_stop(move | {"tpslMode": "Full", "positionIdx": 0})
        assert await _stop_loss(client) == "63500"
        with pytest.raises(ccxt.async_support.ExchangeError, match="34040"):
            await client.private_post_v5_position_trading_stop(move | {"tpslMode": "Full", "positionIdx": 0})

        program.control("price", symbol="BTCUSDT", mark="63400")
        (position,) = await client.fetch_positions([SYMBOL])
        assert (position["contracts"], position["side"]) == (0.0, None)
        done = await client.fetch_canceled_and_closed_orders(SYMBOL, params={"orderId": stop["id"]})
        assert [(row["id"], row["status"], row["filled"]) for row in done] == [(stop["id"], "closed", 0.01)]


@run_to_its_end
async def test_conditionals_placed_amended_and_cancelled(program: Program) -> None:
    async with client_of(program, pro=False) as client:
        await client.create_order(SYMBOL, "market", "buy", "0.010", None, entry("c-entry-2"))
        params = entry("c-stop-2", stopLossPrice="62000", triggerBy="MarkPrice", closeOnTrigger=True)
        stop = await client.create_order(SYMBOL, "market", "sell", "0.010", None, params)
        change = {"triggerPrice": "62500.1", "triggerBy": "MarkPrice"}
        await client.edit_order(stop["id"], SYMBOL, "market", "sell", None, None, change)
        (found,) = await client.fetch_open_orders(SYMBOL, params={"orderLinkId": "c-stop-2"})
        assert (found["id"], found["triggerPrice"], found["reduceOnly"]) == (stop["id"], 62500.1, True)
        assert found["info"]["triggerBy"] == "MarkPrice"
        profit = entry("c-profit-2", takeProfitPrice="66000", triggerBy="MarkPrice")
        await client.create_order(SYMBOL, "market", "sell", "0.005", None, profit)
        directions = {row["clientOrderId"]: row["info"]["triggerDirection"] for row in await _open(client)}
        assert directions == {"c-stop-2": 2, "c-profit-2": 1}
        await client.cancel_order(None, SYMBOL, {"orderLinkId": "c-stop-2"})
        with pytest.raises(ccxt.async_support.OrderNotFound, match="110001"):
            await client.cancel_order(stop["id"], SYMBOL)
        (gone,) = await client.fetch_canceled_and_closed_orders(SYMBOL, params={"orderLinkId": "c-stop-2"})
        assert gone["status"] == "canceled"


@pytest.mark.parametrize(
    ("params", "error", "code"),
    [
        ({"clientOrderId": "c-twice"}, ccxt.async_support.InvalidOrder, "110072"),
        ({"reduceOnly": True}, ccxt.async_support.InvalidOrder, "110017"),
        ({"stopLoss": {"triggerPrice": "65000"}}, ccxt.async_support.BadRequest, "10001"),
        ({"positionIdx": 1}, ccxt.async_support.BadRequest, "10001"),
        ({"triggerPrice": "63000", "triggerDirection": "ascending"}, ccxt.async_support.InvalidOrder, "110092"),
        ({"triggerPrice": "65000", "triggerDirection": "descending"}, ccxt.async_support.InvalidOrder, "110093"),
    ],
)
@run_to_its_end
async def test_refusals_reach_ccxt_as_its_own_errors(
    program: Program, params: dict[str, Any], error: type[Exception], code: str
) -> None:
    async with client_of(program, pro=False) as client:
        side = "sell" if "reduceOnly" in params else "buy"
        if "clientOrderId" in params and not await client.fetch_open_orders(SYMBOL, params={"orderLinkId": "c-twice"}):
            await client.create_order(SYMBOL, "market", "buy", "0.010", None, params)
        with pytest.raises(error, match=code):
            await client.create_order(SYMBOL, "market", side, "0.010", None, params)


@run_to_its_end
async def test_prices_candles_balance_and_leverage(program: Program) -> None:
    async with client_of(program) as client:
        ticker = await client.watch_ticker(SYMBOL)
        assert ticker["markPrice"] == 64000.0
        moved = asyncio.create_task(client.watch_ticker(SYMBOL))
        await asyncio.sleep(0)
        program.control("price", symbol="BTCUSDT", mark="64100")
        assert (await asyncio.wait_for(moved, 20))["markPrice"] == 64100.0
        candles = await client.fetch_ohlcv(SYMBOL, "1m", params={"price": "mark"}, limit=3)
        assert [candle[0] for candle in candles] == sorted(candle[0] for candle in candles)
        assert candles[-1][4] == 64100.0
        assert (await client.fetch_balance())["USDT"]["total"] > 9_000
        await client.set_leverage(11, SYMBOL)
        with pytest.raises(ccxt.async_support.BadRequest, match="110043"):
            await client.set_leverage(11, SYMBOL)
        assert (await client.fetch_positions([SYMBOL]))[0]["leverage"] == 11.0
        assert await client.fetch_time() == pytest.approx(client.milliseconds(), abs=5_000)


@run_to_its_end
async def test_both_sides_of_a_hedge(tmp_path: Path) -> None:
    options = ("--dialect", "bybit", "--volatility", "0", "--partial-fills", "0", "--hedge-mode", "--control")
    program = Program(tmp_path, *options).start()
    try:
        async with client_of(program, pro=False) as client:
            for side, index, stop in (("buy", 1, "63000"), ("sell", 2, "65000")):
                attached = {"stopLoss": {"triggerPrice": stop}, "slTriggerBy": "MarkPrice", "positionIdx": index}
                await client.create_order(SYMBOL, "market", side, "0.010", None, attached)
            rows = await client.fetch_positions([SYMBOL])
            assert [(row["side"], row["contracts"], row["stopLossPrice"]) for row in rows] == [
                ("long", 0.01, 63000.0),
                ("short", 0.01, 65000.0),
            ]
            program.control("price", symbol="BTCUSDT", mark="65010")
            rows = await client.fetch_positions([SYMBOL])
            assert [row["contracts"] for row in rows] == [0.01, 0.0]
            # ccxt turns a hedged exit to the other side's index and leaves reduceOnly out.
            await client.create_order(SYMBOL, "market", "sell", "0.010", None, {"hedged": True, "reduceOnly": True})
            assert [row["contracts"] for row in await client.fetch_positions([SYMBOL])] == [0.0, 0.0]
    finally:
        program.close()


@run_to_its_end
async def test_a_human_takes_the_stop_away(program: Program) -> None:
    async with client_of(program, pro=False) as client:
        attached = {"stopLoss": {"triggerPrice": "63000"}, "positionIdx": 0}
        await client.create_order(SYMBOL, "market", "buy", "0.010", None, attached)
        assert program.control("position_stop", symbol="BTCUSDT", stop_loss="0")["ok"]
        assert await _stop_loss(client) == ""
        assert program.control("order", symbol="BTCUSDT", side="SELL", quantity="0.010", reduceOnly=True)["ok"]
        (trade,) = await client.fetch_my_trades(SYMBOL, limit=1)
        assert (trade["info"]["createType"], trade["info"]["orderLinkId"]) == ("CreateByClosing", "")


@run_to_its_end
async def test_faults_strike_this_dialect_too(program: Program) -> None:
    async with client_of(program, pro=False) as client:
        create = "order/create"
        program.control("reject", path=create, code=10016)
        with pytest.raises(ccxt.async_support.ExchangeError, match="10016"):
            await client.create_order(SYMBOL, "market", "buy", "0.010", None, entry("c-fault-1"))
        program.control("drop_reply", path=create)
        with pytest.raises(ccxt.async_support.NetworkError):
            await client.create_order(SYMBOL, "market", "buy", "0.010", None, entry("c-fault-2"))
        assert [row["contracts"] for row in await client.fetch_positions([SYMBOL])] == [0.01]
        program.control("hide", path="order/realtime", ms=60_000)
        assert await client.fetch_open_orders(SYMBOL, params={"orderLinkId": "c-fault-2"}) == []
        assert len(await client.fetch_open_orders(SYMBOL, params={"orderLinkId": "c-fault-2"})) == 1
        program.control("rows", path="position/list", drop="all")
        assert await client.fetch_positions([SYMBOL]) == []
        program.control("skew", ms=-60_000)
        with pytest.raises(ccxt.async_support.InvalidNonce, match="10002"):
            await client.fetch_balance()
        program.control("skew", ms=0)


@run_to_its_end
async def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    options = ("--dialect", "bybit", "--volatility", "0", "--partial-fills", "0", "--hedge-mode")
    program = Program(tmp_path, *options).start()
    try:
        async with client_of(program, pro=False) as client:
            attached = {"stopLoss": {"triggerPrice": "63000"}, "positionIdx": 1}
            await client.create_order(SYMBOL, "market", "buy", "0.010", None, attached)
            (before,) = await client.fetch_open_orders(SYMBOL)
        program.stop(signal.SIGKILL)
        program.start()
        async with client_of(program, pro=False) as client:
            (after,) = await client.fetch_open_orders(SYMBOL)
            assert after["info"] | {"nextPageCursor": ""} == before["info"] | {"nextPageCursor": ""}
            long, short = await client.fetch_positions([SYMBOL])
            assert (long["contracts"], long["stopLossPrice"], short["contracts"]) == (0.01, 63000.0, 0.0)
    finally:
        program.close()


@run_to_its_end
async def test_the_limit_of_an_address_is_no_json(program: Program) -> None:
    async with aiohttp.ClientSession() as session:
        url = program.endpoint["rest_url"] + "/v5/market/time"
        program.control("limits", ip_5s=1)
        try:
            await session.get(url)
            async with session.get(url) as reply:
                assert (reply.status, await reply.text()) == (403, "access too frequent")
        finally:
            program.control("limits", ip_5s=600)


async def _stop_loss(client: Any) -> str:
    (row,) = (await client.private_get_v5_position_list({"category": "linear", "symbol": "BTCUSDT"}))["result"]["list"]
    return str(row["stopLoss"])


async def _open(client: Any) -> list[Any]:
    found: list[Any] = await client.fetch_open_orders(SYMBOL)
    return found


async def _subscribed(client: Any, count: int) -> None:
    """Wait until the private connection has so many subscriptions beside its authorization; nothing tells."""
    for _ in range(200):
        subscriptions = {
            name for url, known in client.clients.items() if url.endswith("/private") for name in known.subscriptions
        }
        if len(subscriptions) > count:
            break
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.4)


def test_ccxt_is_not_needed_to_tell_that_it_stopped(tmp_path: Path) -> None:
    program = Program(tmp_path, "--dialect", "bybit").start()
    assert program.endpoint["dialect"] == "bybit"
    assert program.stop() == 0
    wait_until(lambda: not (tmp_path / "endpoint.json").exists())
