"""Faults of requests and answers that can be ordered, as a plain HTTP client meets them."""

import asyncio
import time
from collections.abc import Iterator

import aiohttp
import pytest

from tests.unit.paper_exchange.program import Program
from tests.wire.binance_client import (
    ALGO,
    MARKET,
    OPEN_ALGOS,
    ORDER,
    STOP,
    Client,
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


# Requests


@pytest.mark.parametrize(("fault", "done"), [("drop_request", False), ("drop_reply", True)])
def test_a_connection_that_is_reset(program: Program, fault: str, done: bool) -> None:
    async def play(client: Client) -> None:
        await client.control(fault, path="order", where={"type": "MARKET"})
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.send("POST", ORDER, **MARKET, newClientOrderId=fault)
        assert await client.known(fault) is done

    with_client(program, play)


@pytest.mark.parametrize("acted", [False, True])
def test_a_request_that_hangs_while_its_connection_lives(program: Program, acted: bool) -> None:
    async def play(client: Client) -> None:
        await client.control("hang", path="order", acted=acted)
        with pytest.raises(asyncio.TimeoutError):
            await client.send("POST", ORDER, **MARKET, newClientOrderId=f"hang{acted}")
        assert await client.known(f"hang{acted}") is acted

    with_client(program, play, timeout_s=0.3)


def test_a_request_that_arrives_after_its_receive_window(program: Program) -> None:
    async def play(client: Client) -> None:
        await client.control("delay", path="order", before_ms=400)
        status, body = await client.send("POST", ORDER, **MARKET, newClientOrderId="late", recvWindow=300)
        assert (status, body["code"]) == (400, -1021)
        assert not await client.known("late")

    with_client(program, play)


def test_a_fill_that_is_told_before_its_own_acknowledgement(program: Program) -> None:
    async def play(client: Client) -> None:
        async with client.user_stream() as socket:
            await client.control("delay", path="order", after_ms=1_500)
            began = time.monotonic()
            placing = asyncio.create_task(client.send("POST", ORDER, **MARKET))
            assert await statuses(socket, 2) == ["NEW", "FILLED"]
            assert not placing.done()
            assert (await placing)[0] == 200
            assert time.monotonic() - began >= 1.5

    with_client(program, play)


@pytest.mark.parametrize(
    ("code", "status", "acted"),
    [
        (-1006, 500, True), (-1007, 408, False), (-1007, 408, True), (-1001, 503, True), (-1008, 503, False),
        (-1015, 429, False), (-2021, 400, False), (-2022, 400, False), (-4131, 400, False), (-2019, 400, False),
    ],
)  # fmt: skip
def test_an_error_of_the_venue(program: Program, code: int, status: int, acted: bool) -> None:
    async def play(client: Client) -> None:
        client_id = f"code{-code}{acted}"
        await client.control("reject", path="order", code=code, acted=acted)
        answer = await client.send("POST", ORDER, **MARKET, newClientOrderId=client_id)
        assert (answer[0], answer[1]["code"]) == (status, code)
        assert await client.known(client_id) is acted

    with_client(program, play)


def test_429_and_418_say_how_long_to_wait(program: Program) -> None:
    async def play(client: Client) -> None:
        await client.control("reject", path="order", code=-1003, status=429, retry_after_s=3)
        assert (await client.send("POST", ORDER, **MARKET))[0] == 429
        assert client.headers["Retry-After"] == "3"
        await client.control("reject", path="*", method="*", code=-1003, status=418, retry_after_s=60, for_ms=60_000)
        for path in ("/fapi/v1/time", OPEN_ALGOS):
            status, body = await client.send("GET", path)
            assert (status, "banned until" in body["msg"], client.headers["Retry-After"]) == (418, True, "60")

    with_client(program, play)


def test_limits_that_are_really_exceeded(program: Program) -> None:
    async def play(client: Client) -> None:
        await client.control("limits", weight=0)
        status, body = await client.send("GET", "/fapi/v1/time")
        assert (status, body["code"]) == (429, -1003)
        assert int(client.headers["Retry-After"]) <= 61
        assert int(client.headers["X-MBX-USED-WEIGHT-1M"]) > 0

    with_client(program, play)


@pytest.mark.parametrize("acted", [False, True])
def test_an_answer_that_is_no_json(program: Program, acted: bool) -> None:
    async def play(client: Client) -> None:
        client_id = f"proxy{acted}"
        await client.control("http", path="order", status=502, text="<html>Bad Gateway</html>", acted=acted)
        assert await client.send("POST", ORDER, **MARKET, newClientOrderId=client_id) == (
            502,
            "<html>Bad Gateway</html>",
        )
        assert await client.known(client_id) is acted

    with_client(program, play)


def test_maintenance_of_everything_until_it_is_over(program: Program) -> None:
    async def play(client: Client) -> None:
        done = await client.control("http", path="*", method="*", status=503, text="maintenance", for_ms=600_000)
        for method, path in (("GET", "/fapi/v1/time"), ("POST", ORDER), ("DELETE", ALGO)):
            assert await client.send(method, path) == (503, "maintenance")
        await client.control("clear", fault=done["fault"])
        assert (await client.send("GET", "/fapi/v1/time"))[0] == 200

    with_client(program, play)


def test_a_clock_that_is_wrong(program: Program) -> None:
    async def play(client: Client) -> None:
        for skew in (-5_000, 5_000):
            await client.control("skew", ms=skew)
            status, body = await client.send("POST", ORDER, **MARKET)
            assert (status, body["code"]) == (400, -1021)
            _status, told = await client.send("GET", "/fapi/v1/time")
            assert abs(told["serverTime"] - time.time_ns() // 1_000_000 - skew) < 1_000

    with_client(program, play)


def test_what_a_fault_is_not_meant_for_passes(program: Program) -> None:
    async def play(client: Client) -> None:
        await client.control("drop_request", path="order", symbol="ETHUSDT")
        await client.control("drop_request", path="algoOrder", where={"type": "TAKE_PROFIT_MARKET"})
        assert (await client.send("POST", ORDER, **MARKET))[0] == 200
        assert (await client.send("POST", ALGO, **STOP))[0] == 200
        profit = STOP | {"type": "TAKE_PROFIT_MARKET", "triggerPrice": "66000.0"}
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.send("POST", ALGO, **profit)

    with_client(program, play)


# Answers


def test_answers_from_the_past(program: Program) -> None:
    async def play(client: Client) -> None:
        await client.send("POST", ORDER, **MARKET)
        await client.send("POST", ALGO, **STOP)
        await client.control("stale", path="openAlgoOrders", ms=30_000, next=1)
        await client.control("stale", path="positionRisk", ms=30_000, next=1)
        assert await client.send("GET", OPEN_ALGOS) == (200, [])
        await client.send("GET", "/fapi/v2/positionRisk", symbol="BTCUSDT")
        assert len((await client.send("GET", OPEN_ALGOS))[1]) == 1
        assert (await client.send("GET", "/fapi/v2/positionRisk", symbol="BTCUSDT"))[1][0]["positionAmt"] == "0.010"

    with_client(program, play)


def test_an_order_that_is_not_visible_yet(program: Program) -> None:
    async def play(client: Client) -> None:
        await client.control("hide", path="*", ms=60_000, for_ms=10_000)
        await client.send("POST", ORDER, **MARKET, newClientOrderId="young")
        await client.send("POST", ALGO, **STOP, clientAlgoId="young-stop")
        assert not await client.known("young")
        assert (await client.send("GET", ALGO, clientAlgoId="young-stop"))[1]["code"] == -2013
        assert await client.send("GET", OPEN_ALGOS) == (200, [])
        assert len((await client.send("GET", "/fapi/v3/positionRisk"))[1]) == 1
        await client.control("clear")
        assert await client.known("young")

    with_client(program, play)


def test_an_empty_list_and_a_missing_row(program: Program) -> None:
    async def play(client: Client) -> None:
        for trigger in ("62000.0", "63000.0"):
            await client.send("POST", ALGO, **STOP | {"triggerPrice": trigger})
        await client.control("rows", path="openAlgoOrders")
        assert await client.send("GET", OPEN_ALGOS) == (200, [])
        await client.control("rows", path="openAlgoOrders", drop=1)
        assert [row["triggerPrice"] for row in (await client.send("GET", OPEN_ALGOS))[1]] == ["62000.0"]
        assert len((await client.send("GET", OPEN_ALGOS))[1]) == 2

    with_client(program, play)
