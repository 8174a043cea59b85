"""HTTP/1.1 messages as the fault proxy needs them: read whole, passed on byte for byte.

Rules of this file: nothing is changed on the way; what ends a message is known (content-length, chunks, or none), so
that the next one on the same connection begins where it should.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

MOST_HEAD = 64 << 10


class BadMessage(Exception):
    """What came is no HTTP/1.1 message; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A request or a reply. `first` is its first line, header names are lower-case."""

    first: str
    headers: dict[str, str]
    head: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        """As it came."""
        return self.head + self.body

    @property
    def method(self) -> str:
        """Of a request."""
        return self.first.split(" ", 1)[0]

    @property
    def path(self) -> str:
        """Of a request, without the query."""
        return urlsplit(self.first.split(" ")[1]).path

    @property
    def status(self) -> int:
        """Of a reply."""
        return int(self.first.split(" ")[1])

    @property
    def upgrades(self) -> bool:
        """Whether it asks for a WebSocket."""
        return self.headers.get("upgrade", "").lower() == "websocket"

    def values(self) -> dict[str, str]:
        """The parameters of a request: of its query and of its body, a form or JSON."""
        found = dict(parse_qsl(urlsplit(self.first.split(" ")[1]).query))
        text = self.body.decode(errors="replace")
        if not text.startswith("{"):
            return found | dict(parse_qsl(text))
        try:
            inner = json.loads(text)
        except ValueError:
            return found
        return found | {name: str(value) for name, value in inner.items()}


async def read_message(reader: asyncio.StreamReader, *, answers: str | None = None) -> Message | None:
    """The next message, None at the end of the stream. `answers`: the method of the request that a reply is for.

    Raises BadMessage, and what the stream raises.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise BadMessage("the connection ended within a head") from end
        return None
    except asyncio.LimitOverrunError as long:
        raise BadMessage(f"a head of more than {MOST_HEAD} bytes") from long
    lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if len(lines[0].split(" ")) < 3 and not lines[0].startswith("HTTP/"):
        raise BadMessage(f"first line {lines[0]!r}")
    message = Message(first=lines[0], headers=headers, head=head, body=b"")
    bodiless = answers == "HEAD" or (answers is not None and (message.status < 200 or message.status in (204, 304)))
    if bodiless:
        return message
    try:
        body = await _body(reader, headers, reply=answers is not None)
    except (asyncio.IncompleteReadError, ValueError) as end:
        raise BadMessage(f"the body of {lines[0]!r} ended early or is malformed") from end
    return Message(first=lines[0], headers=headers, head=head, body=body)


async def _body(reader: asyncio.StreamReader, headers: dict[str, str], *, reply: bool) -> bytes:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return await _chunks(reader)
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    return await reader.read() if reply else b""


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while True:
        size = await reader.readuntil(b"\r\n")
        length = int(size.split(b";")[0], 16)
        parts += [size, await reader.readexactly(length + 2)]
        if length == 0:
            return b"".join(parts)


def reply(status: int, body: bytes, *, content_type: str = "text/html", headers: dict[str, str] | None = None) -> bytes:
    """A reply of the proxy's own, after which the connection is closed."""
    lines = [f"HTTP/1.1 {status} Proxy", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body
