"""JSON-RPC 2.0, one message a line: what may be said on the control socket, read and written without any I/O.

Rules of this file: numbers are read as exact decimals and never as float; money goes out as decimal strings, times as
ISO-8601 in UTC with a Z; a request that cannot be understood is answered with the code of what is wrong with it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path

from domain.decimals import plain

MAX_LINE_BYTES = 1 << 20

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
UNKNOWN_ID = -32001
REFUSED = -32002
NOT_NOW = -32003

RequestId = str | int | None


class AdminError(Exception):
    """An answer that is an error: `code` of JSON-RPC or of INTERFACE, a message for people, figures in `data`."""

    def __init__(self, code: int, message: str, data: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is at the other end, as the kernel says."""

    uid: int
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call. A notification wants no answer."""

    method: str
    params: dict[str, object]
    id: RequestId
    notification: bool


class BadRequest(AdminError):
    """A line that is no request; `request_id` is the id it carried, if any could be read."""

    def __init__(self, code: int, message: str, request_id: RequestId = None) -> None:
        super().__init__(code, message)
        self.request_id = request_id


def parse_request(line: bytes) -> Request:
    """Raises BadRequest with what is wrong, and the id if one could be read."""
    try:
        message = json.loads(line, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest(PARSE_ERROR, f"not JSON: {error}") from error
    if isinstance(message, list):
        raise BadRequest(INVALID_REQUEST, "batches are not taken: one request a line")
    if not isinstance(message, dict):
        raise BadRequest(INVALID_REQUEST, "a request must be an object")
    request_id = message.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | None):
        raise BadRequest(INVALID_REQUEST, "id must be a string or a whole number")
    if message.get("jsonrpc") != "2.0":
        raise BadRequest(INVALID_REQUEST, 'jsonrpc must be "2.0"', request_id)
    method = message.get("method")
    if not isinstance(method, str) or not method:
        raise BadRequest(INVALID_REQUEST, "method must be a name", request_id)
    params = message.get("params", {})
    if not isinstance(params, dict):
        raise BadRequest(INVALID_PARAMS, "params must be an object of named parameters", request_id)
    return Request(method=method, params=params, id=request_id, notification="id" not in message)


def request_line(method: str, params: Mapping[str, object], request_id: RequestId) -> bytes:
    return _line({"jsonrpc": "2.0", "id": request_id, "method": method, "params": dict(params)})


def result_line(request_id: RequestId, result: object) -> bytes:
    """Raises TypeError or ValueError for what has no JSON form."""
    return _line({"jsonrpc": "2.0", "id": request_id, "result": result})


def error_line(request_id: RequestId, error: AdminError) -> bytes:
    body: dict[str, object] = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = dict(error.data)
    return _line({"jsonrpc": "2.0", "id": request_id, "error": body})


def notification_line(method: str, params: object) -> bytes:
    """Raises TypeError or ValueError for what has no JSON form."""
    return _line({"jsonrpc": "2.0", "method": method, "params": params})


def printable(text: str) -> str:
    """Text of others for a terminal: control characters, which could steer it, become a mark."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _line(message: Mapping[str, object]) -> bytes:
    # surrogates, which str may hold and UTF-8 may not, stay escaped
    return json.dumps(message, default=_plain, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def _plain(value: object) -> object:
    match value:
        case Decimal():
            return plain(value)
        case datetime():
            if value.tzinfo is None:
                raise ValueError(f"time without zone: {value}")
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case Enum():
            return value.value
        case Path():
            return str(value)
        case Mapping():
            return dict(value)
        case set() | frozenset():
            return sorted(value, key=str)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number of JSON")
