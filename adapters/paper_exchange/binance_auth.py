"""Parameters and signatures of a Binance request.

Parameters may stand in the query, in the form body, or in both; the signature covers the raw strings in that order
(VENUES B.2).
"""

import hashlib
import hmac
from typing import Final
from urllib.parse import parse_qsl

from adapters.paper_exchange.binance_errors import VenueError, mandatory
from adapters.paper_exchange.wire import Credentials, WireRequest

DEFAULT_WINDOW: Final = 5_000
LARGEST_WINDOW: Final = 60_000
_AHEAD: Final = 1_000


def parameters(request: WireRequest) -> dict[str, str]:
    """All parameters without the signature; the body wins over the query."""
    pairs = [*parse_qsl(request.query, keep_blank_values=True), *parse_qsl(request.body, keep_blank_values=True)]
    return {name: value for name, value in pairs if name != "signature"}


def check_key(request: WireRequest, credentials: Credentials) -> None:
    """Refuse a request without the right key."""
    key = request.headers.get("X-MBX-APIKEY", "")
    if not key:
        raise VenueError(-2014, "API-key format invalid.", status=401)
    if not hmac.compare_digest(key.encode("utf-8", "replace"), credentials.key.encode()):
        raise VenueError(-2015, "Invalid API-key, IP, or permissions for action.", status=401)


def check_signature(request: WireRequest, credentials: Credentials, params: dict[str, str], now: int) -> None:
    """Refuse a request that is not signed, signed wrongly, or outside its receive window."""
    sent = next(
        (value for text in (request.body, request.query) for name, value in parse_qsl(text) if name == "signature"),
        "",
    )
    if not sent:
        raise mandatory("signature")
    covered = _without_signature(request.query) + _without_signature(request.body)
    expected = hmac.new(credentials.secret.encode(), covered.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(sent.encode(), expected.encode()):
        raise VenueError(-1022, "Signature for this request is not valid.")
    timestamp = _milliseconds(params, "timestamp")
    window = _milliseconds(params, "recvWindow") if "recvWindow" in params else DEFAULT_WINDOW
    if window > LARGEST_WINDOW:
        raise VenueError(-1131, "recvWindow must be less than 60000")
    if timestamp >= now + _AHEAD:
        raise VenueError(-1021, f"Timestamp for this request was {_AHEAD}ms ahead of the server's time.")
    if now - timestamp > window:
        raise VenueError(-1021, "Timestamp for this request is outside of the recvWindow.")


def _without_signature(text: str) -> str:
    return "&".join(part for part in text.split("&") if not part.startswith("signature="))


def _milliseconds(params: dict[str, str], name: str) -> int:
    value = params.get(name, "")
    if not value.isascii() or not value.isdigit() or len(value) > 15:
        raise mandatory(name)
    return int(value)
