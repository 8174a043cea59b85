"""Local servers that behave like the real ones, failing like them too: Telegram's API, Slack's webhook, anybody's."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

TOKEN = "123456:" + "a-Token_of_thirty_five_characters__"
CHAT = "-100200300"


@dataclass
class Answer:
    """One answer. `cut`: only so many bytes of the body come; `reset`: none; `hang`: nothing until the test ends."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    reset: bool = False
    hang: bool = False


class Site:
    """A server: what it was sent, and what it answers next (`good` when nothing else is told)."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.next: deque[Answer] = deque()
        self.good = Answer(200, "")
        self.heard = threading.Condition()
        self.over = threading.Event()
        self.url = ""

    def answer(self, path: str, body: dict[str, Any]) -> Answer:
        with self.heard:
            self.requests.append((path, body))
            self.heard.notify_all()
            return self.next.popleft() if self.next else self.good

    def texts(self) -> list[str]:
        return [str(body.get("text")) for _, body in self.requests]


class Telegram(Site):
    """As api.telegram.org: JSON with ok, description, parameters.retry_after; 401 and 404 for a wrong token."""

    def answer(self, path: str, body: dict[str, Any]) -> Answer:
        told = super().answer(path, body)
        if told is not self.good:
            return told
        if path != f"/bot{TOKEN}/sendMessage":
            return refusal(401, "Unauthorized")
        if str(body.get("chat_id")) != CHAT:
            return refusal(400, "Bad Request: chat not found")
        if not body.get("text"):
            return refusal(400, "Bad Request: message text is empty")
        if len(body["text"]) > 4096:
            return refusal(400, "Bad Request: message is too long")
        return Answer(200, json.dumps({"ok": True, "result": {"message_id": len(self.requests)}}))


class Slack(Site):
    """As hooks.slack.com: plain 'ok', or a word and a status."""

    def answer(self, path: str, body: dict[str, Any]) -> Answer:
        told = super().answer(path, body)
        if told is not self.good:
            return told
        if path != "/services/T00/B00/secretpart":
            return Answer(404, "no_service")
        return Answer(200, "ok") if body.get("text") else Answer(400, "no_text")


def refusal(code: int, description: str, **parameters: int) -> Answer:
    said: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
    return Answer(code, json.dumps(said | ({"parameters": parameters} if parameters else {})))


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve it on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            size = int(self.headers.get("content-length", 0))
            body = json.loads(self.rfile.read(size) or b"{}")
            self._say(site.answer(self.path, body))

        def do_GET(self) -> None:
            self._say(site.answer(self.path, {}))

        def _say(self, answer: Answer) -> None:
            self.close_connection = True
            if answer.hang:
                site.over.wait()
                return
            if answer.reset:
                linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
                return
            body = answer.body.encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if answer.cut is None else body[: answer.cut])

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.05), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.over.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def telegram() -> Iterator[Telegram]:
    with serving(Telegram()) as site:
        assert isinstance(site, Telegram)
        yield site


@pytest.fixture
def slack() -> Iterator[Slack]:
    with serving(Slack()) as site:
        assert isinstance(site, Slack)
        yield site
