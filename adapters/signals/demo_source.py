"""A small signal server for paper mode: real WebSocket, the protocol of INTERFACE, seeded signals for some symbols.

It stands where a trader's own signal server would stand, so that paper mode runs the same path as everything else. A
client that says which signal it has last gets what it missed since, from a bounded memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

REMEMBERED = 500
ID_BITS = 24


class DemoSource:
    """Serves on 127.0.0.1; `url` is known after `start`."""

    def __init__(
        self,
        symbols: tuple[str, ...],
        exchange: str,
        interval_s: float,
        seed: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """One signal each `interval_s`, the first soon after a client has come."""
        self._symbols = symbols
        self._exchange = exchange
        self._interval_s = interval_s
        self._now = now
        self._rng = random.Random(f"{seed} {now().isoformat()}")
        self._sent: deque[dict[str, object]] = deque(maxlen=REMEMBERED)
        self._clients: set[ServerConnection] = set()
        self._server: Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.url = ""

    async def start(self) -> str:
        """Listen on a free port; returns the url."""
        self._server = await serve(self._client, "127.0.0.1", 0)
        port = next(iter(self._server.sockets)).getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}"
        self._task = asyncio.create_task(self._tell())
        return self.url

    async def close(self) -> None:
        """Stop telling and listening."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _client(self, connection: ServerConnection) -> None:
        try:
            hello = json.loads(await connection.recv())
            last = hello.get("last_id") if isinstance(hello, dict) else None
            missed = self._since(last)
            if missed:
                await connection.send(json.dumps({"type": "signals", "signals": missed}))
            self._clients.add(connection)
            await connection.wait_closed()
        except (ConnectionClosed, ValueError):
            return
        finally:
            self._clients.discard(connection)

    def _since(self, last: object) -> list[dict[str, object]]:
        known = [signal["id"] for signal in self._sent]
        return list(self._sent)[known.index(last) + 1 :] if last in known else []

    async def _tell(self) -> None:
        pause = min(1.0, self._interval_s)
        while True:
            await asyncio.sleep(pause)
            if not self._clients:
                continue
            signal = self._next()
            self._sent.append(signal)
            broadcast(self._clients, json.dumps({"type": "signals", "signals": [signal]}))
            pause = self._interval_s

    def _next(self) -> dict[str, object]:
        moment = self._now()
        return {
            "id": f"demo-{int(moment.timestamp() * 1000)}-{self._rng.getrandbits(ID_BITS):06x}",
            "symbol": self._rng.choice(self._symbols),
            "exchange": self._exchange,
            "action": self._rng.choice(("BUY", "SELL")),
            "score_week": round(self._rng.uniform(50, 100), 1),
            "score_month": round(self._rng.uniform(50, 100), 1),
            "wave": moment.strftime("%Y-%m-%dT%H:%M"),
            "created_at": moment.isoformat(),
        }
