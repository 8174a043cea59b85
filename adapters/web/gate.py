"""Who is let in: the Host header, the method, and what every answer says to the browser.

A page of somebody else's, open in the same browser, must not read this one by giving its own name our address (DNS
rebinding): the Host has to be a name of ours. A wrong one learns nothing about the service.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
)
METHODS = frozenset({"GET", "HEAD"})


def names_of(host: str, allowed: Iterable[str]) -> frozenset[str]:
    """The names that a Host header may have when we listen on `host`."""
    own = {name.lower() for name in (host, *allowed)}
    return LOOPBACK | {name for name in own if name not in ("0.0.0.0", "::")}  # noqa: S104 - refused as a name


def name_in(host_header: str) -> str:
    """The name in a Host header, without its port."""
    text = host_header.strip().lower()
    if text.startswith("["):
        return text[1 : text.find("]")] if "]" in text else text
    name, _, port = text.partition(":")
    return name if not port or port.isdigit() else text


class Gate:
    """In front of everything else. HEAD, which monitors like, is answered as GET is; the server leaves the body out."""

    def __init__(self, app: ASGIApp, *, names: frozenset[str], endless: frozenset[str] = frozenset()) -> None:
        """`names`: see `names_of`. `endless`: paths whose answer has no end, which HEAD would wait for."""
        self._app = app
        self._names = names
        self._endless = endless

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in or turn away; what goes out gets its headers."""
        if scope["type"] != "http":
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                more = [(name, value) for name, value in HEADERS if name not in given]
                if b"cache-control" not in given:
                    more.append((b"cache-control", b"no-store"))
                message["headers"] = [*message["headers"], *more]
            await send(message)

        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or name_in(hosts[0]) not in self._names:
            await _refuse(marked, 421, "this Host is not served here: see web.allowed_hosts")
        elif scope["method"] not in METHODS:
            await _refuse(marked, 405, "this service is only looked at over HTTP: GET", [(b"allow", b"GET, HEAD")])
        elif scope["method"] == "HEAD" and scope["path"] in self._endless:
            await _refuse(marked, 405, "this answer has no end: GET", [(b"allow", b"GET")])
        else:
            await self._app({**scope, "method": "GET"}, receive, marked)


async def _refuse(send: Send, status: int, text: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    body = f'{{"error":"{text}"}}'.encode()
    sent = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
