"""The fault proxy before a tiny HTTP server: each fault does what it says, to what it was aimed at, and no more."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from tests.chaos.http_messages import read_message
from tests.chaos.proxy_process import ProxyProcess
from tests.chaos.wire_faults import What
from tests.unit.paper_exchange.program import wait_until

GONE = (ConnectionError, http.client.HTTPException, OSError)


class Upstream:
    """An exchange of two sorts of traffic: it counts requests and answers with them, and echoes on streams."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(5)
        self.rest = server.sockets[0].getsockname()[:2]
        self._streams = serve(self._echo, "127.0.0.1", 0)
        threading.Thread(target=self._streams.serve_forever, daemon=True).start()
        self.ws = self._streams.socket.getsockname()[:2]

    async def _start(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (message := await read_message(reader)) is not None:
            self.seen.append(f"{message.method} {message.path} {message.values().get('symbol', '')}")
            body = json.dumps({"path": message.path, "many": len(self.seen), "filling": "x" * 200}).encode()
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
        writer.close()

    def _echo(self, connection: ServerConnection) -> None:
        for text in connection:
            connection.send(text)

    def close(self) -> None:
        self._streams.shutdown()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    started = Upstream()
    yield started
    started.close()


@pytest.fixture(scope="module")
def started_proxy(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    with ProxyProcess(tmp_path_factory.mktemp("proxy"), {"rest": upstream.rest, "ws": upstream.ws}) as started:
        yield started


@pytest.fixture
def proxy(started_proxy: ProxyProcess) -> Iterator[ProxyProcess]:
    yield started_proxy
    started_proxy.heal()


def ask(
    proxy: ProxyProcess, path: str = "/a", method: str = "GET", body: str | None = None, wait_s: float = 3
) -> object:
    """The decoded answer of one request on a connection of its own."""
    status, text = answer(proxy, path, method, body, wait_s)
    assert status == 200, status
    return json.loads(text)


def answer(
    proxy: ProxyProcess, path: str = "/a", method: str = "GET", body: str | None = None, wait_s: float = 3
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(proxy.address("rest"), timeout=wait_s)
    try:
        connection.request(method, path, body)
        got = connection.getresponse()
        return got.status, got.read()
    finally:
        connection.close()


def stream(proxy: ProxyProcess) -> ClientConnection:
    return connect(f"ws://{proxy.address('ws')}", open_timeout=3, close_timeout=1)


def test_passes_on_what_no_fault_is_meant_for(proxy: ProxyProcess, upstream: Upstream) -> None:
    proxy.order(What.LOSE, "rest", path="/order", method="POST", symbol="BTCUSDT")
    before = len(upstream.seen)
    connection = http.client.HTTPConnection(proxy.address("rest"), timeout=3)
    for method, path, body in (
        ("GET", "/order?symbol=BTCUSDT", None),
        ("POST", "/order", "symbol=ETHUSDT&side=BUY"),
        ("POST", "/other", '{"symbol": "BTCUSDT"}'),
    ):
        connection.request(method, path, body)
        assert json.loads(connection.getresponse().read())["filling"]
    assert upstream.seen[before:] == ["GET /order BTCUSDT", "POST /order ETHUSDT", "POST /other BTCUSDT"]
    with pytest.raises(GONE):
        ask(proxy, "/order", "POST", '{"symbol": "BTCUSDT"}')
    assert len(upstream.seen) == before + 3
    last = proxy.strikes()[-1]
    assert (last.what, last.path, last.symbol) == (What.LOSE, "/order", "BTCUSDT")
    connection.close()


@pytest.mark.parametrize(("what", "arrives"), [(What.SWALLOW, 1), (What.BREAK_OFF, 1), (What.LOSE, 0)])
def test_resets(proxy: ProxyProcess, upstream: Upstream, what: What, arrives: int) -> None:
    before = len(upstream.seen)
    proxy.order(what, "rest")
    with pytest.raises(GONE):
        ask(proxy)
    assert len(upstream.seen) == before + arrives
    ask(proxy)
    assert len(upstream.seen) == before + arrives + 1


@pytest.mark.parametrize(("what", "arrives"), [(What.MUTE, 1), (What.BLACKHOLE, 0)])
def test_no_answer(proxy: ProxyProcess, upstream: Upstream, what: What, arrives: int) -> None:
    before = len(upstream.seen)
    proxy.order(what, "rest")
    with pytest.raises(TimeoutError):
        ask(proxy, wait_s=0.3)
    assert len(upstream.seen) == before + arrives


def test_delay_and_drip(proxy: ProxyProcess) -> None:
    for what, body in ((What.DELAY, {"before_ms": 150, "after_ms": 150}), (What.DRIP, {"ms": 300})):
        proxy.order(what, "rest", **body)
        begun = time.monotonic()
        ask(proxy)
        assert time.monotonic() - begun > 0.25
        wait_until(lambda: (last := proxy.strikes()[-1]).until - last.at > 250)  # the client may be served first


def test_twice(proxy: ProxyProcess, upstream: Upstream) -> None:
    before = len(upstream.seen)
    proxy.order(What.TWICE, "rest")
    ask(proxy, "/once", "POST", "symbol=BTCUSDT")
    assert upstream.seen[before:] == ["POST /once BTCUSDT"] * 2


def test_garble_is_a_whole_message_of_half_a_text(proxy: ProxyProcess) -> None:
    proxy.order(What.GARBLE, "rest")
    with pytest.raises(json.JSONDecodeError):
        ask(proxy)


@pytest.mark.parametrize(("acted", "arrives"), [(False, 0), (True, 1)])
def test_balancer(proxy: ProxyProcess, upstream: Upstream, acted: bool, arrives: int) -> None:
    before = len(upstream.seen)
    proxy.order(What.BALANCER, "rest", status=502, acted=acted)
    status, page = answer(proxy)
    assert status == 502
    assert page.startswith(b"<html>")
    assert len(upstream.seen) == before + arrives


def test_refused_until_it_is_over(proxy: ProxyProcess) -> None:
    proxy.order(What.REFUSE, "rest", for_ms=1_500)
    with pytest.raises(ConnectionRefusedError):
        ask(proxy)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            ask(proxy)
            break
        except GONE:
            time.sleep(0.05)
    struck = proxy.strikes()[-1]
    assert struck.what is What.REFUSE
    assert 1_490 <= struck.until - struck.at < 4_000


def test_streams_cut_while_requests_live_and_the_reverse(proxy: ProxyProcess) -> None:
    with stream(proxy) as first:
        first.send("one")
        assert first.recv(timeout=3) == "one"
        proxy.order(What.CUT_STREAMS, "ws", for_ms=60_000)
        with pytest.raises(ConnectionClosed):
            first.recv(timeout=3)
    with pytest.raises((InvalidMessage, *GONE)):
        stream(proxy)
    ask(proxy)
    proxy.heal()
    proxy.order(What.CUT_REST, "rest", for_ms=60_000)
    with stream(proxy) as second:
        second.send("two")
        assert second.recv(timeout=3) == "two"
    with pytest.raises(GONE):
        ask(proxy)
    proxy.heal()
    ask(proxy)


def test_frozen_and_garbled_streams(proxy: ProxyProcess) -> None:
    with stream(proxy) as open_:
        open_.send("one")
        assert open_.recv(timeout=3) == "one"
        proxy.order(What.FREEZE_STREAMS, "ws", for_ms=60_000)
        open_.send("two")
        with pytest.raises(TimeoutError):
            open_.recv(timeout=0.3)
        proxy.heal()
        assert open_.recv(timeout=3) == "two"
        proxy.order(What.GARBLE_STREAMS, "ws")
        with pytest.raises(ConnectionClosed):
            open_.recv(timeout=3)


def test_share_and_window_of_a_fault(proxy: ProxyProcess) -> None:
    proxy.order(What.LOSE, "rest", for_ms=60_000, percent=0)
    for _ in range(5):
        ask(proxy)
    proxy.order(What.LOSE, "rest", for_ms=60_000, percent=100)
    for _ in range(3):
        with pytest.raises(GONE):
            ask(proxy)


@pytest.mark.parametrize(
    ("what", "route", "body", "says"),
    [
        (What.LOSE, "nowhere", {}, "route='nowhere'"),
        (What.REFUSE, "rest", {}, "for_ms: refuse needs it"),
        (What.LOSE, "rest", {"next": -1}, "next=-1"),
        (What.LOSE, "rest", {"colour": 1}, "colour: unknown"),
    ],
)
def test_bad_orders_are_refused_by_name(
    proxy: ProxyProcess, what: What, route: str, body: dict[str, object], says: str
) -> None:
    with pytest.raises(AssertionError, match=says):
        proxy.order(what, route, **body)


def test_it_ends_with_whoever_started_it(upstream: Upstream, tmp_path: Path) -> None:
    with ProxyProcess(tmp_path, {"rest": upstream.rest}) as started:
        ask(started)
    with pytest.raises(ConnectionRefusedError):
        ask(started)
