"""The paper exchange as a process: its state survives kill -9, its announcement, lock, signals, tapes and refusals."""

import asyncio
import json
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from adapters.paper_exchange.timeline import read_timeline
from tests.unit.paper_exchange.program import ROOT, Program, wait_until

pytestmark = pytest.mark.wire

SYMBOL = "BTC/USDT:USDT"
Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts paper exchanges that are gone after the test."""
    programs: list[Program] = []

    def started(*options: str, state: str = "state") -> Program:
        programs.append(Program(tmp_path / state, *options).start())
        return programs[-1]

    yield started
    for program in programs:
        program.close()


async def account(program: Program) -> tuple[Any, ...]:
    """What a client can see of the account."""
    client = program.client()
    try:
        await client.load_markets()
        return (
            [row["info"]["positionAmt"] for row in await client.fetch_positions()],
            [row["info"] for row in await client.fetch_open_orders(SYMBOL, params={"trigger": True})],
            [row["info"] for row in await client.fetch_orders(SYMBOL)],
            [row["info"] for row in await client.fetch_my_trades(SYMBOL)],
            (await client.fetch_balance())["info"]["totalWalletBalance"],
        )
    finally:
        await client.close()


async def trade(program: Program, rounds: int) -> None:
    client = program.client()
    try:
        await client.load_markets()
        for number in range(rounds):
            await client.create_order(SYMBOL, "market", "buy", "0.010", None, {"clientOrderId": f"e{number}"})
            stop = {"triggerPrice": f"{55000 + number}.0", "reduceOnly": True, "workingType": "MARK_PRICE"}
            await client.create_order(SYMBOL, "STOP_MARKET", "sell", "0.010", None, stop)
    finally:
        await client.close()


def test_kill_and_restart_keep_everything(start: Start) -> None:
    program = start("--volatility", "0", "--partial-fills", "0", "--symbols", "BTCUSDT")
    asyncio.run(trade(program, 3))
    before = asyncio.run(account(program))
    assert len(before[1]) == 3
    program.stop(signal.SIGKILL)
    assert asyncio.run(account(program.start())) == before


def test_a_log_torn_at_any_byte_starts_again(start: Start) -> None:
    program = start("--volatility", "0", "--symbols", "BTCUSDT")
    asyncio.run(trade(program, 2))
    program.stop(signal.SIGKILL)
    log = program.state_dir / "timeline.jsonl"
    whole = log.read_bytes()
    draw = random.Random(5)
    for cut in [len(whole) - 1, *(draw.randrange(200, len(whole)) for _ in range(2))]:
        log.write_bytes(whole[:cut])
        program.start()
        held, *_, wallet = asyncio.run(account(program))
        assert len(held) <= 1
        assert 9_990 < Decimal(wallet) <= 10_000
        program.stop(signal.SIGKILL)


def test_prices_go_on_without_a_jump(start: Start) -> None:
    program = start("--symbols", "BTCUSDT")
    log = program.state_dir / "timeline.jsonl"

    def marks() -> list[tuple[int, Decimal]]:
        return [(line["step"], Decimal(line["mark"])) for line in read_timeline(log) if line["kind"] == "price"]

    wait_until(lambda: len(marks()) >= 4)
    program.stop(signal.SIGKILL)
    before = len(marks())
    program.start()
    wait_until(lambda: len(marks()) >= before + 3)
    assert [step for step, _ in marks()] == list(range(len(marks())))
    assert abs(marks()[before][1] / marks()[before - 1][1] - 1) < Decimal("0.02")


def test_candles_outlive_a_restart(start: Start) -> None:
    async def candles(program: Program) -> list[Any]:
        client = program.client()
        try:
            rows: list[Any] = await client.fetch_ohlcv(SYMBOL, "1m", limit=1500, params={"price": "mark"})
            return rows
        finally:
            await client.close()

    program = start("--volatility", "0", "--symbols", "BTCUSDT")
    before = asyncio.run(candles(program))
    assert len(before) == 1000, "as many as ccxt asks for"
    program.stop(signal.SIGKILL)
    after = asyncio.run(candles(program.start()))
    assert after[: len(before) - 1] == before[:-1]


def test_the_announcement_and_a_clean_stop(start: Start) -> None:
    program = start("--volatility", "0", "--symbols", "BTCUSDT")
    endpoint = program.endpoint
    assert endpoint["pid"] == program.pid
    assert endpoint["dialect"] == "binanceusdm"
    assert endpoint["rest_url"] == f"http://127.0.0.1:{endpoint['port']}"
    assert endpoint["ws_url"] == f"ws://127.0.0.1:{endpoint['port']}"
    assert program.stop() == 0
    assert not (program.state_dir / "endpoint.json").exists()
    lines = list(read_timeline(program.state_dir / "timeline.jsonl"))
    assert [line["event"] for line in lines if line["kind"] == "session"] == ["start", "stop"]


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--dialect", "nyse"), 2, "invalid choice"),
        (("--speed", "0"), 2, "--speed 0: must be above 0"),
        (("--balance", "-1"), 2, "--balance -1"),
        (("--tape", "missing_BTCUSDT.json"), 2, "missing_BTCUSDT.json"),
        (("--tape", "x.json"), 2, "holds no symbol"),
        (("--symbols", "NOPEUSDT"), 2, "NOPEUSDT: not listed"),
        (("--only-tape",), 2, "no --tape was given"),
    ],
)
def test_usage_errors_name_the_option(tmp_path: Path, options: tuple[str, ...], code: int, told: str) -> None:
    command = [sys.executable, "-m", "adapters.paper_exchange", "--state-dir", str(tmp_path), *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == code
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_second_process_on_the_directory_is_refused(start: Start) -> None:
    program = start("--volatility", "0", "--symbols", "BTCUSDT")
    command = [sys.executable, "-m", "adapters.paper_exchange", "--state-dir", str(program.state_dir)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 3
    assert "another paper exchange" in ended.stderr
    assert json.loads((program.state_dir / "endpoint.json").read_text()) == program.endpoint


def test_a_fast_tape_streams_every_point_and_then_stands_still(start: Start, tmp_path: Path) -> None:
    bars = [[0, 60_000 + n, 60_100 + n, 59_900 + n, 60_001 + n, 1] for n in range(40)]
    tape = tmp_path / "tape_BTCUSDT.json"
    tape.write_text(json.dumps(bars))
    program = start("--tape", str(tape), "--only-tape", "--speed", "40")
    log = program.state_dir / "timeline.jsonl"
    played = [mark for bar in bars for mark in (bar[1], bar[3], bar[2], bar[4])]
    with connect(program.endpoint["ws_url"] + "/ws/btcusdt@markPrice@1s") as stream:
        marks = [int(Decimal(json.loads(stream.recv(timeout=10))["p"])) for _ in range(30)]
    # The frame of the second repeats a point; without repetitions what was heard is a stretch of the tape.
    heard, expected = ([mark for mark, _ in groupby(some)] for some in (marks, played))
    begin = expected.index(heard[0])
    assert len(heard) > 15
    assert heard == expected[begin : begin + len(heard)]

    def points() -> list[int]:
        return [int(Decimal(line["mark"])) for line in read_timeline(log) if line["kind"] == "price"]

    wait_until(lambda: len(points()) == len(played))
    assert points() == played


def test_control_is_closed_unless_asked_for(start: Start) -> None:
    program = start("--volatility", "0", "--symbols", "BTCUSDT")
    assert "error" in program.control("price", symbol="BTCUSDT", mark="1")


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        ("dance", {}),
        ("price", {"symbol": "NOPEUSDT", "mark": "1"}),
        ("price", {"symbol": "BTCUSDT", "mark": "-1"}),
        ("price", {"symbol": "BTCUSDT", "mark": "NaN"}),
        ("freeze", {"on": "yes"}),
        ("order", {"symbol": "BTCUSDT", "side": "UP", "quantity": "1"}),
        ("order", {"symbol": "BTCUSDT", "side": "BUY", "quantity": "100"}),
        ("cancel", {"algoId": 5}),
        ("cancel", {}),
        ("reject", {"path": "order", "code": "x", "msg": "no"}),
        ("drop_reply", {"next": 0, "path": "order"}),
    ],
)
def test_control_refuses_nonsense(control: Program, command: str, asked: dict[str, Any]) -> None:
    assert "error" in control.control(command, **asked)
    assert control.control("state")["ok"] is True


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /fapi/v1/klines?symbol=\xff\xfe&interval=%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /fapi/v1/order HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: \xff\r\nContent-Length: 3\r\n\r\n\xff&=",
        b"POST /fapi/v1/order?signature=\xff HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: paper\r\nContent-Length: 0\r\n\r\n",
        b"GET /fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=99999999999999999999999 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"DELETE /%ff/%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
        b"\x00\x01 nonsense\r\n\r\n",
        b"POST /control/price HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\xff\xff",
    ],
)
def test_no_bytes_from_outside_end_the_exchange(control: Program, sent: bytes) -> None:
    with socket.create_connection((control.endpoint["host"], control.endpoint["port"]), timeout=5) as connection:
        connection.sendall(sent)
        assert connection.recv(64)[9:10] == b"4"
    assert control.control("state")["ok"] is True


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    options = ("--symbols", "BTCUSDT", "--control")
    program = Program(tmp_path_factory.mktemp("control"), *options).start()
    yield program
    program.close()


def test_a_frozen_market_stands_still_but_the_venue_answers(control: Program) -> None:
    control.control("freeze", on=True)
    log = control.state_dir / "timeline.jsonl"

    def count() -> int:
        return sum(line["kind"] == "price" for line in read_timeline(log))

    frozen = count()
    asyncio.run(account(control))
    assert count() == frozen
    control.control("freeze", on=False)
    wait_until(lambda: count() > frozen)
