"""Who asks: the X-BAPI-* headers of a Bybit request, and the signed `auth` of a private WebSocket (VENUES B.2)."""

import hashlib
import hmac
from typing import Any, Final

from adapters.paper_exchange.bybit_errors import PARAMETER, VenueError, said
from adapters.paper_exchange.wire import Credentials, WireRequest

DEFAULT_WINDOW: Final = 5_000
_AHEAD: Final = 1_000


def check_request(request: WireRequest, credentials: Credentials, now: int) -> None:
    """Refuse a request without the right key, signed wrongly, or outside its receive window; `now` is venue ms."""
    headers = request.headers
    key, sent = headers.get("X-BAPI-API-KEY", ""), headers.get("X-BAPI-SIGN", "")
    stamp, window = headers.get("X-BAPI-TIMESTAMP", ""), headers.get("X-BAPI-RECV-WINDOW", "") or str(DEFAULT_WINDOW)
    if not key or not sent or not stamp:
        raise VenueError(PARAMETER, f"empty value: apiTimestamp[{stamp}] apiKey[{key}] apiSignature[{sent}]")
    if not _same(key, credentials.key):
        raise said(10003)
    if not stamp.isascii() or not stamp.isdigit() or not window.isascii() or not window.isdigit():
        raise VenueError(PARAMETER, "params error: timestamp or recv_window invalid")
    if not int(stamp) < now + _AHEAD or now - int(stamp) > int(window):
        raise VenueError(
            10002,
            "invalid request, please check your server timestamp or recv_window param. "
            f"req_timestamp[{stamp}],server_timestamp[{now}],recv_window[{window}]",
        )
    covered = stamp + key + window + (request.query if request.method == "GET" else request.body)
    if not _same(sent, _sign(credentials.secret, covered)):
        raise VenueError(10004, f"error sign! origin_string[{covered}]")


def stream_auth_fault(arguments: Any, credentials: Credentials, now: int) -> str | None:
    """What is wrong with the arguments [key, expires, signature] of an `auth`, None if nothing is."""
    if not isinstance(arguments, list) or len(arguments) != 3:
        return "Params Error"
    key, expires, sent = (str(argument) for argument in arguments)
    if not _same(key, credentials.key):
        return "Your api key is invalid"
    if not expires.isascii() or not expires.isdigit() or int(expires) <= now:
        return "Params Error: expires must be later than now"
    return None if _same(sent, _sign(credentials.secret, "GET/realtime" + expires)) else "Params Error: sign"


def _sign(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def _same(sent: str, right: str) -> bool:
    return hmac.compare_digest(sent.encode("utf-8", "replace"), right.encode())
