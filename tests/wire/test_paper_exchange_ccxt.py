"""An unmodified ccxt.pro client against the paper exchange as a process: trading, queries, streams, errors."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from tests.unit.paper_exchange.program import Program

pytestmark = pytest.mark.wire

SYMBOL = "BTC/USDT:USDT"
STOP = {"triggerPrice": "63000.1", "reduceOnly": True, "workingType": "MARK_PRICE"}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A standing market at 64,000 with control endpoints."""
    options = ("--volatility", "0", "--partial-fills", "0", "--control")
    program = Program(tmp_path_factory.mktemp("exchange"), *options).start()
    yield program
    program.close()


@pytest.fixture(autouse=True)
def clean(program: Program) -> None:
    """Every test begins flat at 64,000 with nothing resting."""

    async def tidy() -> None:
        async with connected(program) as client:
            await client.cancel_all_orders(SYMBOL, {"trigger": True})
            for position in await client.fetch_positions():
                side = "sell" if position["side"] == "long" else "buy"
                await client.create_order(position["symbol"], "market", side, position["contracts"], None, REDUCE)

    program.control("price", symbol="BTCUSDT", mark="64000")
    asyncio.run(tidy())


REDUCE = {"reduceOnly": True}


@asynccontextmanager
async def connected(program: Program, **options: object) -> AsyncIterator[Any]:
    client = program.client(**options)
    try:
        await client.load_markets()
        yield client
    finally:
        await client.close()


def with_client(program: Program, trade: Callable[[Any], Awaitable[None]], **options: object) -> None:
    async def run() -> None:
        async with connected(program, **options) as client:
            await asyncio.wait_for(trade(client), 20)

    asyncio.run(run())


def test_the_markets_have_exact_steps(program: Program) -> None:
    async def trade(client: Any) -> None:
        assert len(client.markets) >= 12
        market = client.markets[SYMBOL]
        assert (market["precision"]["price"], market["precision"]["amount"]) == (0.1, 0.001)
        assert market["limits"]["cost"]["min"] == 100

    with_client(program, trade)


def test_load_markets_with_currencies(program: Program) -> None:
    async def trade(client: Any) -> None:
        assert SYMBOL in client.markets

    with_client(program, trade, fetchCurrencies=True, adjustForTimeDifference=True)


def test_entry_stop_trigger_flat(program: Program) -> None:
    async def trade(client: Any) -> None:
        entry = await client.create_order(SYMBOL, "market", "buy", "0.010", None, {"clientOrderId": "e1"})
        assert (entry["status"], entry["filled"], entry["average"]) == ("closed", 0.01, 64006.4)
        (position,) = await client.fetch_positions([SYMBOL])
        assert (position["side"], position["contracts"], position["hedged"]) == ("long", 0.01, False)
        stop = await client.create_order(SYMBOL, "STOP_MARKET", "sell", "0.010", None, {**STOP, "clientOrderId": "e1s"})
        assert (stop["status"], stop["clientOrderId"], stop["triggerPrice"]) == ("open", "e1s", 63000.1)
        assert [row["id"] for row in await client.fetch_open_orders(SYMBOL, params={"trigger": True})] == [stop["id"]]
        program.control("price", symbol="BTCUSDT", mark="62900")
        done = await client.fetch_order(stop["id"], SYMBOL, {"trigger": True})
        assert (done["info"]["algoStatus"], Decimal(done["info"]["actualQty"])) == ("FINISHED", Decimal("0.010"))
        child = await client.fetch_order(done["info"]["actualOrderId"], SYMBOL)
        assert (child["status"], child["filled"], child["reduceOnly"]) == ("closed", 0.01, True)
        assert await client.fetch_positions([SYMBOL]) == []
        (flat,) = await client.fapiPrivateV2GetPositionRisk({"symbol": "BTCUSDT"})
        assert Decimal(flat["positionAmt"]) == 0
        trades = await client.fetch_my_trades(SYMBOL)
        assert [trade["order"] for trade in trades[-2:]] == [entry["id"], child["id"]]
        assert trades[-1]["fee"]["currency"] == "USDT"

    with_client(program, trade)


def test_orders_are_found_and_cancelled_by_client_id(program: Program) -> None:
    async def trade(client: Any) -> None:
        await client.create_order(SYMBOL, "market", "buy", "0.010", None, {"clientOrderId": "e2"})
        assert (await client.fetch_order(None, SYMBOL, {"clientOrderId": "e2"}))["status"] == "closed"
        await client.create_order(SYMBOL, "STOP_MARKET", "sell", "0.010", None, {**STOP, "clientOrderId": "s2"})
        by_client = {"clientOrderId": "s2", "trigger": True}
        assert (await client.fetch_order(None, SYMBOL, by_client))["status"] == "open"
        cancelled = await client.cancel_order(None, SYMBOL, by_client)
        assert cancelled["clientOrderId"] == "s2"
        assert (await client.fetch_order(None, SYMBOL, by_client))["status"] == "canceled"
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order(None, SYMBOL, by_client)

    with_client(program, trade)


@pytest.mark.parametrize(
    ("kind", "side", "quantity", "params", "error", "code"),
    [
        ("STOP_MARKET", "sell", "0.010", {**STOP, "triggerPrice": "65000.0"}, ccxt.OrderImmediatelyFillable, -2021),
        ("market", "sell", "0.010", REDUCE, ccxt.InvalidOrder, -2022),
        ("market", "buy", "100", {}, ccxt.InsufficientFunds, -2019),
        ("market", "buy", "0.001", {}, ccxt.InvalidOrder, -4164),
    ],
)
def test_errors_have_the_venues_codes(
    program: Program, kind: str, side: str, quantity: str, params: dict[str, Any], error: type[Exception], code: int
) -> None:
    async def trade(client: Any) -> None:
        with pytest.raises(error, match=str(code)):
            await client.create_order(SYMBOL, kind, side, quantity, None, params)

    with_client(program, trade)


def test_a_wrong_secret_and_a_wrong_clock(program: Program) -> None:
    async def trade(client: Any) -> None:
        client.secret = "other"
        with pytest.raises(ccxt.AuthenticationError, match="-1022"):
            await client.fetch_balance()
        client.secret = "paper"
        client.options["timeDifference"] = 60_000
        with pytest.raises(ccxt.InvalidNonce, match="-1021"):
            await client.fetch_balance()
        assert abs(await client.load_time_difference()) < 1_000
        assert (await client.fetch_balance())["USDT"]["total"] > 0

    with_client(program, trade)


def test_account_and_market_queries(program: Program) -> None:
    async def trade(client: Any) -> None:
        await client.set_leverage(10, SYMBOL)
        with pytest.raises(ccxt.MarginModeAlreadySet):
            await client.set_margin_mode("cross", SYMBOL)
        assert (await client.fetch_position_mode())["hedged"] is False
        with pytest.raises(ccxt.OperationRejected, match="-4059"):
            await client.set_position_mode(False)
        assert (await client.fetch_mark_price(SYMBOL))["markPrice"] == 64000
        quote = (await client.fetch_bids_asks([SYMBOL]))[SYMBOL]
        assert quote["bid"] < 64000 < quote["ask"]
        for timeframe in ("1m", "5m", "1h"):
            candles = await client.fetch_ohlcv(SYMBOL, timeframe, limit=20, params={"price": "mark"})
            assert len(candles) == 20
            assert all(low <= min(first, close) <= high for _, first, high, low, close, _ in candles)
        assert (await client.fetch_ticker(SYMBOL))["last"] > 0
        assert len((await client.fetch_order_book(SYMBOL, 5))["bids"]) == 5
        assert (await client.fetch_trading_fee(SYMBOL))["taker"] == 0.0005
        assert isinstance(await client.fetch_ledger("USDT"), list)
        assert (await client.sapiGetAccountApiRestrictions())["enableFutures"] is True

    with_client(program, trade)


def test_streams(program: Program) -> None:
    async def trade(client: Any) -> None:
        orders = asyncio.create_task(client.watch_orders(SYMBOL))
        positions = asyncio.create_task(client.watch_positions([SYMBOL]))
        trades = asyncio.create_task(client.watch_my_trades(SYMBOL))
        mark = await client.watch_mark_price(SYMBOL)
        assert (mark["symbol"], mark["markPrice"]) == (SYMBOL, 64000)
        assert (await client.watch_bids_asks([SYMBOL]))[SYMBOL]["bid"] < 64000
        await client.create_order(SYMBOL, "market", "buy", "0.010", None, {"clientOrderId": "w1"})
        assert (await orders)[-1]["clientOrderId"] == "w1"
        assert (await trades)[-1]["amount"] == 0.01
        assert [(row["side"], row["contracts"]) for row in await positions] == [("long", 0.01)]
        orders = asyncio.create_task(client.watch_orders(SYMBOL))
        positions = asyncio.create_task(client.watch_positions([SYMBOL]))
        stop = await client.create_order(SYMBOL, "STOP_MARKET", "sell", "0.010", None, STOP)
        assert (await orders)[-1]["id"] == stop["id"]
        program.control("price", symbol="BTCUSDT", mark="62900")
        flat = (await positions)[-1]
        assert flat["contracts"] == 0
        assert Decimal(flat["info"]["pa"]) == 0

    # VENUES T13: the snapshot of watch_positions is not wanted.
    with_client(program, trade, watchPositions={"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False})


def test_a_hand_on_the_account_reaches_the_stream(program: Program) -> None:
    async def trade(client: Any) -> None:
        orders = asyncio.create_task(client.watch_orders(SYMBOL))
        await client.watch_mark_price(SYMBOL)
        by_hand = await asyncio.to_thread(program.control, "order", symbol="BTCUSDT", side="BUY", quantity="0.010")
        assert (await orders)[-1]["id"] == str(by_hand["orderId"])

    with_client(program, trade)


def test_cut_streams_are_noticed_and_come_back(program: Program) -> None:
    async def trade(client: Any) -> None:
        await client.watch_mark_price(SYMBOL)
        waiting = asyncio.create_task(client.watch_mark_price(SYMBOL))
        await asyncio.sleep(0)
        await asyncio.to_thread(program.control, "cut_streams")
        with pytest.raises(ccxt.NetworkError):
            await waiting
        assert (await client.watch_mark_price(SYMBOL))["markPrice"] == 64000

    with_client(program, trade)


def test_ordered_faults(program: Program) -> None:
    async def trade(client: Any) -> None:
        program.control("reject", next=1, code=-1007, msg="Timeout waiting for response", path="algoOrder")
        await client.create_order(SYMBOL, "market", "buy", "0.010")
        with pytest.raises(ccxt.RequestTimeout):
            await client.create_order(SYMBOL, "STOP_MARKET", "sell", "0.010", None, STOP)
        program.control("drop_reply", next=1, path="order")
        with pytest.raises(ccxt.NetworkError):
            await client.create_order(SYMBOL, "market", "buy", "0.010", None, {"clientOrderId": "lost"})
        assert (await client.fetch_order(None, SYMBOL, {"clientOrderId": "lost"}))["status"] == "closed"
        program.control("drop_request", next=1, path="order")
        with pytest.raises(ccxt.NetworkError):
            await client.create_order(SYMBOL, "market", "buy", "0.010", None, {"clientOrderId": "gone"})
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order(None, SYMBOL, {"clientOrderId": "gone"})
        assert program.control("state")["faults_left"] == 0

    with_client(program, trade)
