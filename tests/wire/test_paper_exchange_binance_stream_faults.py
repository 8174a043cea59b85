"""Faults of connections, frames, triggers and fills that can be ordered, as a plain client meets them."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from adapters.paper_exchange.timeline import read_timeline
from tests.unit.paper_exchange.program import Program
from tests.wire.binance_client import (
    ALGO,
    MARKET,
    ORDER,
    PATIENCE_S,
    STOP,
    Client,
    next_event,
    standing_market,
    statuses,
    tidied,
    with_client,
)

pytestmark = pytest.mark.wire


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One exchange for all tests here."""
    yield from standing_market(tmp_path_factory)


@pytest.fixture(autouse=True)
def clean(program: Program) -> Iterator[None]:
    """Nobody finds what another left."""
    yield from tidied(program)


# Connections


def test_connections_are_refused_and_taken_again(program: Program) -> None:
    async def play(client: Client) -> None:
        async with client.stream("/market/ws/btcusdt@markPrice@1s") as socket:
            await client.control("down", for_ms=1_500)
            assert (await socket.receive(timeout=PATIENCE_S)).type in (
                aiohttp.WSMsgType.CLOSED,
                aiohttp.WSMsgType.CLOSE,
                aiohttp.WSMsgType.ERROR,
            ) or socket.closed
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.send("GET", "/fapi/v1/time")
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                assert (await client.send("GET", "/fapi/v1/time"))[0] == 200
                break
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)
        else:
            pytest.fail("the door stayed shut")

    with_client(program, play)


def test_rest_is_dead_while_streams_live_and_the_reverse(program: Program) -> None:
    async def play(client: Client) -> None:
        async with client.stream("/market/ws/btcusdt@markPrice@1s") as socket:
            await client.control("drop_request", path="*", method="*", for_ms=60_000)
            with pytest.raises(aiohttp.ClientConnectionError):
                await client.send("GET", "/fapi/v1/time")
            assert (await next_event(socket))["e"] == "markPriceUpdate"
        await client.control("clear")
        await client.control("refuse_stream", for_ms=60_000)
        with pytest.raises(aiohttp.ClientError):
            async with client.stream("/market/ws/btcusdt@markPrice@1s"):
                pass
        assert (await client.send("GET", "/fapi/v1/time"))[0] == 200

    with_client(program, play)


def test_a_stream_that_stays_up_and_says_nothing(program: Program) -> None:
    async def play(client: Client) -> None:
        async with client.stream("/market/ws/btcusdt@markPrice@1s") as socket:
            await client.control("stall_streams", for_ms=2_000)
            await client.control("price", symbol="BTCUSDT", mark="64001")
            await socket.ping()
            with pytest.raises(asyncio.TimeoutError):
                await socket.receive(timeout=0.4)
            assert not socket.closed
            assert (await next_event(socket))["p"] == "64001"

    with_client(program, play)


def test_cut_streams(program: Program) -> None:
    async def play(client: Client) -> None:
        async with client.stream("/market/ws/btcusdt@markPrice@1s") as socket:
            assert (await client.control("cut_streams"))["cut"] == 1
            while not socket.closed:
                await socket.receive(timeout=PATIENCE_S)

    with_client(program, play)


def test_a_clean_stop_waits_for_no_one(tmp_path: Path) -> None:
    program = Program(tmp_path, "--volatility", "0", "--control", "--symbols", "BTCUSDT").start()

    async def play(client: Client) -> None:
        async with client.stream("/market/ws/btcusdt@markPrice@1s") as socket:
            await client.control("hang", path="time", method="GET")
            hanging = asyncio.create_task(client.send("GET", "/fapi/v1/time"))
            while (await client.control("state"))["faults_left"]:
                await next_event(socket)
            await client.control("stall_streams", for_ms=600_000)
            began = time.monotonic()
            assert await asyncio.to_thread(program.stop) == 0
            assert time.monotonic() - began < 10
            with pytest.raises(aiohttp.ClientError):
                await hanging

    try:
        with_client(program, play)
    finally:
        program.close()


# Frames


def test_a_message_that_is_missing(program: Program) -> None:
    async def play(client: Client) -> None:
        async with client.user_stream() as socket:
            await client.control("lose", path="ORDER_TRADE_UPDATE", where={"status": "NEW"})
            await client.send("POST", ORDER, **MARKET)
            assert await statuses(socket, 1) == ["FILLED"]

    with_client(program, play)


def test_a_message_that_comes_twice(program: Program) -> None:
    async def play(client: Client) -> None:
        async with client.user_stream() as socket:
            await client.control("double", path="ORDER_TRADE_UPDATE", symbol="BTCUSDT", where={"status": "FILLED"})
            await client.send("POST", ORDER, **MARKET)
            assert await statuses(socket, 3) == ["NEW", "FILLED", "FILLED"]

    with_client(program, play)


def test_a_message_that_comes_late(program: Program) -> None:
    async def play(client: Client) -> None:
        async with client.user_stream() as socket:
            await client.control("late", path="ORDER_TRADE_UPDATE", where={"status": "NEW"}, ms=200)
            await client.send("POST", ORDER, **MARKET)
            assert await statuses(socket, 2) == ["FILLED", "NEW"]

    with_client(program, play)


def test_messages_out_of_order(program: Program) -> None:
    async def play(client: Client) -> None:
        async with client.user_stream() as socket:
            await client.control("reorder", path="ORDER_TRADE_UPDATE")
            await client.send("POST", ORDER, **MARKET)
            events = [(await next_event(socket))["e"] for _ in range(2)]
            assert events == ["ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]

    with_client(program, play)


def test_a_message_that_cannot_be_read(program: Program) -> None:
    async def play(client: Client) -> None:
        async with client.user_stream() as socket:
            await client.control("garble", path="ACCOUNT_UPDATE")
            await client.send("POST", ORDER, **MARKET)
            assert (await next_event(socket))["e"] == "ORDER_TRADE_UPDATE"
            with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
                await next_event(socket)

    with_client(program, play)


def test_one_stream_is_silent_while_the_others_speak(program: Program) -> None:
    async def play(client: Client) -> None:
        async with client.stream("/stream?streams=btcusdt@markPrice@1s/btcusdt@bookTicker") as socket:
            await client.control("lose", path="markPriceUpdate", for_ms=60_000)
            await client.control("price", symbol="BTCUSDT", mark="64002")
            heard = {(await next_event(socket))["data"]["e"] for _ in range(3)}
            assert heard == {"bookTicker"}

    with_client(program, play)


def test_a_listen_key_that_expires(program: Program) -> None:
    async def play(client: Client) -> None:
        async with client.user_stream() as socket:
            await client.control("expire_listen_key")
            assert (await next_event(socket))["e"] == "listenKeyExpired"
            assert (await client.send("PUT", "/fapi/v1/listenKey"))[1]["code"] == -1125
            await client.send("POST", ORDER, **MARKET)
            with pytest.raises(asyncio.TimeoutError):
                await socket.receive(timeout=0.2)

    with_client(program, play)


# Triggers, fills, and who else is there


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("spoil", ["NEW", "TRIGGERING", "REJECTED"]),
        ("stick", ["NEW", "TRIGGERING"]),
        ("part", ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]),
    ],
)
def test_a_stop_that_does_not_do_its_work(program: Program, fault: str, told: list[str]) -> None:
    async def play(client: Client) -> None:
        await client.send("POST", ORDER, **MARKET)
        async with client.user_stream() as socket:
            await client.control(fault, symbol="BTCUSDT")
            _status, stop = await client.send("POST", ALGO, **STOP)
            await client.control("wild", symbol="BTCUSDT", mark="62000")
            heard: list[str] = []
            while len(heard) < len(told):
                frame = await next_event(socket)
                heard += [frame["o"]["X"]] if frame["e"] == "ALGO_UPDATE" else []
            assert heard == told
            state = await client.control("state")
            assert state["positions"]["BTCUSDT"] == ("0.009" if fault == "part" else "0.010")
            if fault == "stick":
                await client.control("release", algoId=stop["algoId"])
                assert (await client.control("state"))["positions"] == {}

    with_client(program, play)


def test_an_order_that_is_acknowledged_before_it_is_filled(program: Program) -> None:
    async def play(client: Client) -> None:
        await client.control("hold_fill", ms=300)
        async with client.user_stream() as socket:
            _status, order = await client.send("POST", ORDER, **MARKET, newOrderRespType="RESULT")
            assert (order["status"], order["executedQty"]) == ("NEW", "0")
            assert await statuses(socket, 2) == ["NEW", "FILLED"]

    with_client(program, play)


def test_a_hand_made_cancel_and_a_liquidation(program: Program) -> None:
    async def play(client: Client) -> None:
        await client.send("POST", ORDER, **MARKET)
        _status, stop = await client.send("POST", ALGO, **STOP)
        async with client.user_stream() as socket:
            await client.control("cancel", algoId=stop["algoId"])
            assert (await next_event(socket))["o"]["X"] == "CANCELED"
            await client.control("liquidate", symbol="BTCUSDT")
            assert await statuses(socket, 2) == ["NEW", "FILLED"]
        assert (await client.send("GET", "/fapi/v3/positionRisk"))[1] == []

    with_client(program, play)


def test_what_was_done_is_in_the_timeline(program: Program) -> None:
    async def play(client: Client) -> None:
        done = await client.control("reject", path="order", code=-1007, acted=True)
        await client.send("POST", ORDER, **MARKET, newClientOrderId="told")
        lines = list(read_timeline(program.state_dir / "timeline.jsonl"))
        start = max(at for at, line in enumerate(lines) if line["kind"] == "control")
        assert lines[start]["asked"] == {"path": "order", "code": -1007, "acted": True}
        struck, request, first = lines[start + 1 : start + 4]
        assert (struck["kind"], struck["what"], struck["fault"]) == ("struck", "reject", done["fault"])
        assert struck["params"]["newClientOrderId"] == "told"
        assert (request["kind"], first["kind"], first["clientOrderId"]) == ("request", "order", "told")
        reply = next(line for line in lines[start:] if line["kind"] == "reply")
        assert (reply["status"], reply["code"]) == (408, -1007)

    with_client(program, play)
