"""The HTTP session under ccxt, and what it saw of each request: did a byte leave, what status came back.

ccxt tells a refused connection and a lost reply apart in neither class nor text. aiohttp's trace does: the headers of a
request are reported just before the first byte is written, so a request without that report certainly had no effect.
The receipt travels in a context variable, because ccxt passes nothing through to its session.
So does the last look: right before the first byte whoever sends may say no. The request bears its time stamp by then,
so a pause of the process before the look is seen by it, and one after it by the venue (receive window).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TypeVar

import aiohttp


@dataclass(slots=True, kw_only=True)
class Receipt:
    """What is known of one request: filled in while it runs. `headers` are the answer's, `retry_after_s` is of them."""

    sent: bool = False
    status: int | None = None
    retry_after_s: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str = ""


T = TypeVar("T")
Look = Callable[[], str | None]
_LOOK: ContextVar[Look | None] = ContextVar("last look", default=None)
_CURRENT: ContextVar[Receipt | None] = ContextVar("receipt", default=None)


@contextmanager
def receipt() -> Iterator[Receipt]:
    """The receipt of the requests made in this context; for several in a row it tells of the last one."""
    with _held(_CURRENT, Receipt()) as noted:
        yield noted


class HeldBack(Exception):
    """The last look said no: not a byte has left. The message is its reason."""


@contextmanager
def last_look(look: Look) -> Iterator[None]:
    """For requests made in this context: `look` gives the reason why one must not leave, None: it may."""
    with _held(_LOOK, look):
        yield


@contextmanager
def _held(variable: ContextVar[T | None], value: T) -> Iterator[T]:
    """`variable` is `value` in here. A coroutine that is thrown away, with its loop, is closed by whoever collects it,
    in another context: there is nothing to be put back, and what that context holds is not ours to change.
    """
    token = variable.set(value)
    try:
        yield value
    except GeneratorExit:
        raise
    except BaseException:
        variable.reset(token)
        raise
    variable.reset(token)


def open_session(certificates: str) -> aiohttp.ClientSession:
    """A session whose requests fill in receipts. `certificates` is the file of trusted authorities (ccxt's own)."""
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(_started)
    trace.on_request_headers_sent.append(_left)
    trace.on_request_end.append(_answered)
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=certificates))
    return aiohttp.ClientSession(connector=connector, trace_configs=[trace])


async def _started(_: aiohttp.ClientSession, __: SimpleNamespace, ___: aiohttp.TraceRequestStartParams) -> None:
    noted = _CURRENT.get()
    if noted is not None:
        noted.sent, noted.status, noted.retry_after_s, noted.headers = False, None, None, {}


async def _left(_: aiohttp.ClientSession, __: SimpleNamespace, ___: aiohttp.TraceRequestHeadersSentParams) -> None:
    look, noted = _LOOK.get(), _CURRENT.get()
    why = look() if look is not None else None
    if why is not None:
        raise HeldBack(why)
    if noted is not None:
        noted.sent = True


async def _answered(_: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestEndParams) -> None:
    noted = _CURRENT.get()
    if noted is None:
        return
    noted.status, noted.headers, noted.path = params.response.status, params.response.headers, params.url.path
    asked = noted.headers.get("Retry-After", "")
    noted.retry_after_s = int(asked) if asked.isdecimal() else None
