"""A source of signals that never rests: good ones, doubled ones, closes; it remembers what it sent.

Whoever says hello with the last id that it stored gets everything since, so that every signal that was ever sent has to
be answered for in the end, whatever befell the service meanwhile.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Sequence
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tests.end_to_end.signal_source import signal_row

AGAIN_SHARE = 0.05
CLOSE_SHARE = 0.08
OLDEST_S = 240
FRAME = 200


class SignalFlow:
    """Serves one client after the other. `markets`: account, exchange and symbol of what it sends signals for."""

    def __init__(self, seed: int, markets: Sequence[tuple[str, str, str]], pause_s: tuple[float, float]) -> None:
        self.sent: list[dict[str, object]] = []
        self.hellos = 0
        self._rng = random.Random(f"{seed}:signals")
        self._markets = tuple(markets)
        self._pause_s = pause_s
        self._client: ServerConnection | None = None
        self._lock = threading.Lock()
        self._quiet = threading.Event()
        self._server: Server = serve(self._serve, "127.0.0.1", 0)
        self._threads = [
            threading.Thread(target=self._server.serve_forever, daemon=True, name="signal-flow"),
            threading.Thread(target=self._flow, daemon=True, name="signal-flow-sender"),
        ]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._server.shutdown()
        for thread in self._threads:
            thread.join(5)

    def stop(self) -> None:
        """No more signals; what was sent can still be asked for."""
        self._quiet.set()

    def ids(self) -> list[str]:
        """The ids of all signals, each once."""
        with self._lock:
            return list(dict.fromkeys(str(row["id"]) for row in self.sent))

    def _flow(self) -> None:
        while not self._quiet.wait(self._rng.uniform(*self._pause_s)):
            with self._lock:
                row = self._next()
                self.sent.append(row)
                self._send([row])

    def _next(self) -> dict[str, object]:
        if self.sent and self._rng.random() < AGAIN_SHARE:
            return self._rng.choice(self.sent[-20:])
        account, exchange, symbol = self._rng.choice(self._markets)
        action = "CLOSE" if self._rng.random() < CLOSE_SHARE else self._rng.choice(("BUY", "SELL"))
        age_s = self._rng.randrange(OLDEST_S)
        name = f"monkey-{len(self.sent)}"
        return signal_row(name, symbol, action, age_s=age_s, exchange=exchange, account=account)

    def _send(self, rows: Sequence[dict[str, object]]) -> None:
        """To whoever listens; what does not arrive is asked for at the next hello."""
        if self._client is None:
            return
        try:
            self._client.send(json.dumps({"type": "signals", "signals": rows}))
        except (ConnectionClosed, OSError):
            self._client = None

    def _serve(self, connection: ServerConnection) -> None:
        try:
            hello: dict[str, Any] = json.loads(connection.recv(timeout=10))
            with self._lock:
                self.hellos += 1
                self._client = connection
                missed = self._since(hello["last_id"])
                for begin in range(0, len(missed), FRAME):
                    self._send(missed[begin : begin + FRAME])
            for _ in connection:
                pass
        except (ConnectionClosed, TimeoutError, OSError):
            return
        finally:
            with self._lock:
                if self._client is connection:
                    self._client = None

    def _since(self, last_id: object) -> list[dict[str, object]]:
        """What was sent after this id went out for the first time: later ones may be repeats of it."""
        ids = [row["id"] for row in self.sent]
        return self.sent[ids.index(last_id) + 1 :] if last_id in ids else list(self.sent)
