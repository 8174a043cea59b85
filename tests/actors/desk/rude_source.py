"""A signal server that does whatever a server may: sends anything, floods, drops, refuses, says nothing."""

from __future__ import annotations

import asyncio
import http
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Script = Callable[[ServerConnection, dict[str, Any]], Awaitable[None]]


class RudeSource:
    """Runs `script(connection, hello)` for each client, on a loop of its own thread. Hellos and headers are kept."""

    def __init__(self, script: Script, token: str | None = None) -> None:
        """`token`: what a client has to show; anybody else gets 401."""
        self._script = script
        self._token = token
        self.turned_away = 0
        self.hellos: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self._greeted = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="rude-source")
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"

    def wait_hellos(self, count: int, seconds: float = 20) -> list[dict[str, Any]]:
        """So many hellos."""
        with self._greeted:
            assert self._greeted.wait_for(lambda: len(self.hellos) >= count, seconds), f"hellos: {self.hellos}"
            return list(self.hellos)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _open(self) -> None:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, max_size=None, process_request=self._admit, ping_interval=None,
            close_timeout=1,
        )

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if self._token is None or request.headers.get("Authorization") == f"Bearer {self._token}":
            return None
        self.turned_away += 1
        return connection.respond(http.HTTPStatus.UNAUTHORIZED, "who are you?\n")

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, connection: ServerConnection) -> None:
        try:
            hello = json.loads(await connection.recv())
            assert connection.request is not None
            with self._greeted:
                self.hellos.append(hello)
                self.tokens.append(connection.request.headers.get("Authorization"))
                self._greeted.notify_all()
            await self._script(connection, hello)
            await connection.wait_closed()
        except ConnectionClosed:
            return
