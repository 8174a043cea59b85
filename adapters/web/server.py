"""The HTTP server: a listening socket, and uvicorn on a thread of its own.

`start` opens the socket in the caller's thread, so that a taken port is an error there; what is slow to import is
imported on the server's thread, where nobody waits for it. `beats` grows once a second while the loop turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loguru import logger

from adapters.web.source import Source

if TYPE_CHECKING:
    import uvicorn

    from adapters.web.streams import Streams

BEAT_S = 1.0
CONNECTIONS = 64
GRACE_S = 2


class PortTaken(Exception):
    """The address cannot be listened on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where and for whom: see `[web]` in settings.toml."""

    host: str
    port: int
    allowed_hosts: tuple[str, ...] = ()
    max_streams: int = 8


class Forwarding(logging.Handler):
    """What uvicorn says goes to our log, where secrets are hidden. What a client did wrong is not worth a line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Called by the library, on the server's thread."""
        logger.opt(exception=record.exc_info).error("WEB_FAILED {}", record.getMessage())


class WebServer:
    """One life of it: started once, stopped once."""

    def __init__(self, address: Address, source: Source, *, version: str, audit_key: str) -> None:
        """Nothing listens yet."""
        self._address = address
        self._source = source
        self._version = version
        self._audit_key = audit_key
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._server: uvicorn.Server | None = None
        self._streams: Streams | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        self.beats = 0
        self.error: str | None = None

    def start(self) -> str:
        """Listen and serve; returns the address to open. Raises PortTaken."""
        host, port = self._address.host, self._address.port
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            listening = socket.socket(family, socket.SOCK_STREAM)
            try:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listening.bind((host, port))
                listening.listen(CONNECTIONS)
                listening.setblocking(False)
            except OSError:
                listening.close()
                raise
        except OSError as error:
            raise PortTaken(f"{host}:{port}: {error.strerror or error}") from error
        self._socket = listening
        self._thread = threading.Thread(target=self._run, args=(listening,), name="web-server", daemon=True)
        self._thread.start()
        shown = f"[{host}]" if family is socket.AF_INET6 else host
        return f"http://{shown}:{listening.getsockname()[1]}"

    def stop(self, seconds: float = GRACE_S + 1.0) -> bool:
        """Let all pages go, finish what is being answered, stop listening; False if it was not done in time.

        A loop that hangs cannot do it: then it is done to it, so that the port is free for whoever comes next.
        """
        self._stopping = True
        self._call(self._end)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)
        ended = thread is None or not thread.is_alive()
        self._close_socket(shut=not ended)
        return ended

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _call(self, function: object) -> None:
        loop = self._loop
        if loop is not None and callable(function):
            with contextlib.suppress(RuntimeError):  # closed already
                loop.call_soon_threadsafe(function)

    def _end(self) -> None:
        if self._streams is not None:
            self._streams.end()
        if self._server is not None:
            self._server.should_exit = True

    def _close_socket(self, *, shut: bool) -> None:
        if self._socket is None:
            return
        if shut:
            with contextlib.suppress(OSError):  # not connected: so it says, and has stopped listening
                self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _run(self, listening: socket.socket) -> None:
        try:
            asyncio.run(self._serve(listening))
        except Exception as error:  # noqa: BLE001 - its owner asks for it, and starts another server
            self.error = f"{type(error).__name__}: {error}"
            logger.opt(exception=error).error("WEB_SERVER_DIED error={!r}", self.error)

    async def _serve(self, listening: socket.socket) -> None:
        import uvicorn

        from adapters.web.application import STREAM, application
        from adapters.web.connections import Connection
        from adapters.web.errands import Errands
        from adapters.web.gate import Gate, names_of
        from adapters.web.streams import Streams

        said = logging.getLogger("uvicorn")
        said.handlers, said.propagate = [Forwarding(logging.ERROR)], False
        self._loop = asyncio.get_running_loop()
        errands = Errands()
        streams = self._streams = Streams(self._source, errands, self._source.hide, most=self._address.max_streams)
        app = application(self._source, errands, streams, version=self._version, audit_key=self._audit_key)
        gate = Gate(app, names=names_of(self._address.host, self._address.allowed_hosts), endless=frozenset({STREAM}))
        config = uvicorn.Config(
            gate,
            log_config=None,
            access_log=False,
            lifespan="off",
            loop="asyncio",
            http=Connection,
            ws="none",
            limit_concurrency=CONNECTIONS,  # from here on a request is answered with 503
            timeout_graceful_shutdown=GRACE_S,
            server_header=False,
            date_header=False,
            h11_max_incomplete_event_size=16_384,
        )
        server = self._server = uvicorn.Server(config)
        if self._stopping:
            return
        beside = [asyncio.create_task(streams.run()), asyncio.create_task(self._beat())]
        try:
            await server.serve(sockets=[listening])
        finally:
            streams.end()
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _beat(self) -> None:
        while True:
            self.beats += 1
            await asyncio.sleep(BEAT_S)
