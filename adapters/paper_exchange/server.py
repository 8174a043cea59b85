"""The paper exchange as a program: `paper-exchange --dialect binanceusdm --port 0 --state-dir DIR ...`.

HTTP and WebSocket on one port, one event loop. It announces itself in DIR/endpoint.json when it listens and takes that
away when it stops cleanly; SIGTERM and SIGINT stop it. Exit codes:
0 stopped, 1 failed, 2 usage, 3 state directory in use.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from adapters.paper_exchange.asked import ControlError
from adapters.paper_exchange.control import Control
from adapters.paper_exchange.engine import MatchingEngine
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.faults import Fault, Ordered, happening_of_request
from adapters.paper_exchange.frame_gate import FrameGate
from adapters.paper_exchange.options import Options, UsageError, build_dialect, build_feeds, parse_options
from adapters.paper_exchange.pacing import Pacer
from adapters.paper_exchange.timeline import StateDirInUse, TimelineDamaged
from adapters.paper_exchange.treatment import Treatment
from adapters.paper_exchange.wilful import WilfulEngine
from adapters.paper_exchange.wire import Dialect, WireReply, WireRequest

_LONGEST_OUTBOX: Final = 20_000
_PING_SECONDS: Final = 180.0
# A request that hangs is looked after this often, to let go of it when its client has gone.
_HANG_SECONDS: Final = 0.1
_HONEST: Final = Treatment()
# The reply to the request that shuts the door leaves first.
_LAST_REPLY_SECONDS: Final = 0.05


def wall_clock_ms() -> int:
    """Venue time: real UTC in ms, however fast a tape runs, so that clients' signatures hold."""
    return time.time_ns() // 1_000_000


@dataclass(eq=False, slots=True)
class Connection:
    """A WebSocket client: its frames leave in order, each not before it is due."""

    socket: web.WebSocketResponse
    transport: asyncio.BaseTransport | None
    outbox: "asyncio.Queue[tuple[float, str]]"
    delay_s: float
    flowing: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Begin to flow."""
        self.flowing.set()

    def send(self, text: str) -> None:
        """Queue a frame; a client that reads too slowly for too long is cut off."""
        try:
            self.outbox.put_nowait((asyncio.get_running_loop().time() + self.delay_s, text))
        except asyncio.QueueFull:
            self.cut()

    def cut(self) -> None:
        """Break the connection without a close frame."""
        _abort(self.transport)

    async def write(self) -> None:
        """Send the outbox until the connection ends."""
        while True:
            due, text = await self.outbox.get()
            wait = due - asyncio.get_running_loop().time()
            if wait > 0:
                await asyncio.sleep(wait)
            await self.flowing.wait()
            await self.socket.send_str(text)

    def stall(self, seconds: float) -> None:
        """Neither send nor read, pings included, while the connection stays up."""
        self.flowing.clear()
        asyncio.get_running_loop().call_later(seconds, self.flowing.set)


class PaperServer:
    """Ties sockets to a dialect."""

    def __init__(self, exchange: PaperExchange, dialect: Dialect, options: Options) -> None:
        self._exchange = exchange
        self._dialect = dialect
        self._half_latency_s = options.latency_ms / 2000
        self._connections: list[Connection] = []
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._control = Control(exchange, dialect, self, options.seed) if options.control else None
        self._door: Door | None = None
        exchange.listeners.append(dialect.publish)

    def application(self) -> web.Application:
        """The web application: everything goes through `handle`."""
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{path:.*}", self.handle)
        app.on_shutdown.append(self._close_streams)
        return app

    async def failure(self) -> None:
        """Wait for a fault that ends the exchange, and raise it."""
        await self._failed

    def cut_streams(self) -> int:
        """Break every WebSocket connection; returns how many."""
        cut = list(self._connections)
        for connection in cut:
            connection.cut()
        return len(cut)

    def stall_streams(self, seconds: float) -> int:
        """Let every WebSocket connection stay up and say nothing for a while; returns how many."""
        for connection in self._connections:
            connection.stall(seconds)
        return len(self._connections)

    async def open(self, runner: web.AppRunner, host: str, port: int) -> int:
        """Listen; returns the port. Raises OSError."""
        self._door = Door(runner, host)
        return await self._door.open(port)

    def shut(self, seconds: float) -> None:
        """Refuse connections for a while, from as soon as the reply to this request has left; all open ones break."""
        if self._door is not None:
            self._door.shut(seconds, self._fail)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any request; a fault of the exchange itself ends the exchange."""
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._stream(request)
            if request.path.startswith("/control/"):
                return await self._controlled(request)
            return await self._rest(request)
        except OSError as fault:
            if isinstance(fault, ConnectionError):
                raise
            self._fail(fault)
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as fault:
            self._fail(fault)
            raise

    async def _rest(self, request: web.Request) -> web.Response:
        wire = _wire_request(request, await request.read())
        await asyncio.sleep(self._half_latency_s)
        treatment = _HONEST if self._control is None else self._control.treatment(happening_of_request(wire))
        if treatment.before_s:
            await asyncio.sleep(treatment.before_s)
        reply = await self._carried_out(wire, treatment) if treatment.is_carried_out else None
        await asyncio.sleep(self._half_latency_s + treatment.after_s)
        if reply is None or (treatment.ending is not None and treatment.rejection is None):
            return await _spoilt(request, treatment.ending)
        # A text is no JSON: what stands in front of the venue says it, not the venue.
        text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body, separators=(",", ":"))
        return web.Response(
            text=text, status=reply.status, headers=dict(reply.headers), content_type="application/json"
        )

    async def _carried_out(self, wire: WireRequest, treatment: Treatment) -> WireReply:
        with self._view(wire, treatment):
            reply = treatment.shown(self._dialect.answer(wire, treatment.rejection))
        if reply.durable:
            await self._exchange.durable()
        return reply

    @contextmanager
    def _view(self, wire: WireRequest, treatment: Treatment) -> Iterator[None]:
        """Let the dialect see the book as it was, for a query that is to be answered from there."""
        seen = None if self._control is None or wire.method != "GET" else self._control.seen_by(treatment)
        if seen is None:
            yield
            return
        with self._exchange.answering_from(seen):
            yield

    async def _controlled(self, request: web.Request) -> web.Response:
        if self._control is None or request.method != "POST":
            return web.json_response({"error": "no control endpoint here; start with --control and POST"}, status=404)
        try:
            asked = json.loads(await request.read() or b"{}")
        except ValueError as fault:
            return web.json_response({"error": f"body: {fault}"}, status=400)
        try:
            result = self._control.perform(request.path.removeprefix("/control/"), asked)
        except ControlError as fault:
            return web.json_response({"error": str(fault)}, status=400)
        await self._exchange.durable()
        return web.json_response(result)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self._control is not None and self._control.refuses_stream(request.path):
            return _hang_up(request)
        # Pings are answered here, so that a connection that stalls leaves them unanswered.
        socket = web.WebSocketResponse(heartbeat=_PING_SECONDS, autoping=False, max_msg_size=1 << 16)
        outbox: asyncio.Queue[tuple[float, str]] = asyncio.Queue(_LONGEST_OUTBOX)
        connection = Connection(socket, request.transport, outbox, self._half_latency_s)
        gate = FrameGate(None if self._control is None else self._control.plan, connection.send)
        stream = self._dialect.connect(request.path, request.query_string, gate.send)
        if stream is None:
            return web.json_response({"error": f"no stream at {request.path}"}, status=404)
        await socket.prepare(request)
        self._connections.append(connection)
        writer = asyncio.create_task(connection.write())
        try:
            async for message in socket:
                await connection.flowing.wait()
                if message.type is WSMsgType.TEXT:
                    stream.receive(message.data)
                elif message.type is WSMsgType.PING:
                    await socket.pong(message.data)
        finally:
            stream.closed()
            self._connections.remove(connection)
            writer.cancel()
            # A client that goes away in the middle of a frame is everyday life.
            with suppress(asyncio.CancelledError, ConnectionError):
                await writer
        return socket

    async def _close_streams(self, _app: web.Application) -> None:
        for connection in list(self._connections):
            await connection.socket.close(code=WSCloseCode.GOING_AWAY, message=b"exchange stops")

    def _fail(self, fault: Exception) -> None:
        if not self._failed.done():
            self._failed.set_exception(fault)


class Door:
    """The listening socket, which can be shut for a while; connections are then refused by the system."""

    def __init__(self, runner: web.AppRunner, host: str) -> None:
        self._runner = runner
        self._host = host
        self._site: web.TCPSite | None = None
        self._shutting: asyncio.Task[None] | None = None
        self._port = 0

    async def open(self, port: int) -> int:
        """Listen on a port, 0 for any; returns the port. Raises OSError."""
        self._site = web.TCPSite(self._runner, self._host, port)
        await self._site.start()
        self._port = int(self._runner.addresses[0][1])
        return self._port

    def shut(self, seconds: float, failed: Callable[[Exception], None]) -> None:
        """Shut it in a moment, for `seconds`; `failed` hears if it cannot be opened again."""
        if self._shutting is None or self._shutting.done():
            self._shutting = asyncio.create_task(self._shut(seconds, failed))

    async def _shut(self, seconds: float, failed: Callable[[Exception], None]) -> None:
        await asyncio.sleep(_LAST_REPLY_SECONDS)
        if self._site is None:
            return
        await self._site.stop()
        for handler in self._runner.server.connections if self._runner.server is not None else ():
            _abort(handler.transport)
        await asyncio.sleep(seconds)
        try:
            await self.open(self._port)
        except OSError as fault:
            failed(fault)


def _wire_request(request: web.Request, body: bytes) -> WireRequest:
    # The HTTP parser hands bytes that are no UTF-8 on as lone surrogates, which nothing after it could encode.
    query = request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return WireRequest(
        method=request.method,
        path=request.path.encode("utf-8", "replace").decode(),
        query=query,
        body=body.decode("utf-8", "replace"),
        headers=request.headers,
    )


def _abort(transport: asyncio.BaseTransport | None) -> None:
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


def _hang_up(request: web.Request) -> web.Response:
    _abort(request.transport)
    return web.Response(status=500)


async def _spoilt(request: web.Request, ending: Ordered | None) -> web.Response:
    """What the client gets instead of a reply."""
    if ending is None or ending.fault in (Fault.DROP_REQUEST, Fault.DROP_REPLY):
        return _hang_up(request)
    if ending.fault is Fault.HTTP:
        headers = {} if ending.retry_after_s is None else {"Retry-After": str(ending.retry_after_s)}
        return web.Response(status=ending.status, text=ending.text, content_type="text/html", headers=headers)
    # Nothing tells a handler that its client has gone.
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(_HANG_SECONDS)
    return web.Response(status=500)


def _announce(path: Path, options: Options, port: int) -> None:
    host = options.host
    endpoint: dict[str, Any] = {
        "pid": os.getpid(),
        "host": host,
        "port": port,
        "rest_url": f"http://{host}:{port}",
        "ws_url": f"ws://{host}:{port}",
        "dialect": options.dialect,
        "started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(endpoint) + "\n")
    fresh.replace(path)


async def serve(options: Options) -> None:
    """Run until a signal; raises StateDirInUse, TimelineDamaged, UsageError, OSError."""
    engine = WilfulEngine if options.control else MatchingEngine
    exchange = PaperExchange(options.state_dir, build_feeds(options), options.rules(), wall_clock_ms, engine)
    exchange.open(os.getpid(), options.balance)
    dialect = build_dialect(options, exchange)
    server = PaperServer(exchange, dialect, options)
    runner = web.AppRunner(server.application(), access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    announcement = options.state_dir / "endpoint.json"
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    pacer = Pacer(exchange, dialect)
    try:
        port = await server.open(runner, options.host, options.port)
        _announce(announcement, options, port)
        sys.stdout.write(
            f"PAPER_EXCHANGE dialect={options.dialect} url=http://{options.host}:{port} pid={os.getpid()}\n"
        )
        sys.stdout.flush()
        ends = [
            asyncio.create_task(stop.wait()),
            asyncio.create_task(server.failure()),
            asyncio.create_task(pacer.run()),
        ]
        done, _running = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in ends:
            if task not in done:
                task.cancel()
        for task in done:
            task.result()
    finally:
        announcement.unlink(missing_ok=True)
        await runner.cleanup()
        exchange.close(os.getpid())


def main(argv: list[str]) -> int:
    """Run the paper exchange with command-line arguments; returns the exit code."""
    try:
        options = parse_options(argv)
        asyncio.run(serve(options))
    except UsageError as fault:
        sys.stderr.write(f"paper-exchange: {fault}\n")
        return 2
    except StateDirInUse as fault:
        sys.stderr.write(f"paper-exchange: {fault}\n")
        return 3
    except (OSError, TimelineDamaged) as fault:
        sys.stderr.write(f"paper-exchange: {fault}\n")
        return 1
    return 0
