"""A source of signals: a real WebSocket server on a thread, which sends what a test tells it to."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve


class SignalSource:
    """Serves one client after the other; keeps every hello it was greeted with."""

    def __init__(self, *, resumes: bool = False) -> None:
        """`resumes`: every signal is kept, and a client is sent what came after the last one that it knows."""
        self._resumes = resumes
        self._sent: list[dict[str, Any]] = []
        self.hellos: list[dict[str, Any]] = []
        self._client: ServerConnection | None = None
        self._changed = threading.Condition()
        self._server: Server = serve(self._serve, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True, name="signal-source")

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(5)

    def send(self, frame: str | bytes, limit_s: float = 20) -> None:
        """Send a frame as it is, to the client that is connected now or comes within the limit."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._client is not None, limit_s), "no client of the signal source"
            client = self._client
        assert client is not None
        client.send(frame)

    def signals(self, *signals: Mapping[str, object]) -> None:
        """Send signals in one frame; a source that resumes sends them as soon as there is a client."""
        if not self._resumes:
            self.send(_frame(signals))
            return
        with self._changed:
            self._sent += [dict(signal) for signal in signals]
            if self._client is not None:
                with contextlib.suppress(ConnectionClosed):  # it will come again, and say what it knows
                    self._client.send(_frame(signals))

    def hang_up(self) -> None:
        """Close the connection; the client is expected to come again."""
        with self._changed:
            client, self._client = self._client, None
        assert client is not None
        client.close()

    def wait_hellos(self, count: int, limit_s: float = 20) -> None:
        """Wait until so many hellos came in."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.hellos) >= count, limit_s), f"hellos: {self.hellos}"

    def _after(self, last_id: str | None) -> list[dict[str, Any]]:
        known = [number for number, signal in enumerate(self._sent, 1) if signal["id"] == last_id]
        return self._sent[max(known, default=0) :]

    def _serve(self, connection: ServerConnection) -> None:
        try:
            hello = json.loads(connection.recv(timeout=10))
            with self._changed:
                self.hellos.append(hello)
                if missed := self._after(hello["last_id"]):
                    connection.send(_frame(missed))
                self._client = connection
                self._changed.notify_all()
            for _ in connection:
                pass
        except (ConnectionClosed, TimeoutError):
            return
        finally:
            with self._changed:
                if self._client is connection:
                    self._client = None


def _frame(signals: Sequence[Mapping[str, object]]) -> str:
    return json.dumps({"type": "signals", "signals": signals})


def signal_row(name: str, symbol: str, action: str = "BUY", *, age_s: float = 0, **more: object) -> dict[str, object]:
    """A signal that is in order, as it goes over the wire."""
    return {
        "id": name,
        "symbol": symbol,
        "exchange": "binanceusdm",
        "action": action,
        "score_week": 71.5,
        "score_month": 66,
        "wave": None,
        "created_at": (datetime.now(UTC) - timedelta(seconds=age_s)).isoformat(),
        **more,
    }
