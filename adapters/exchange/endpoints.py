"""Points a ccxt instance at another address: scheme, host and port of every endpoint are replaced, paths are kept.

The whole tree of addresses is rewritten, also the parts that we never call, so that nothing can leave for another host.
Binance's stream base therefore goes on ending in `/ws`, which ccxt needs to find its private and market paths
(VENUES B.4).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, urlsplit

_HTTP = frozenset({"http", "https"})
_WEBSOCKET = frozenset({"ws", "wss"})


def point_at(urls: dict[str, Any], rest_url: str | None, ws_url: str | None) -> dict[str, Any]:
    """ccxt's tree of addresses with the origin of each replaced. Raises ValueError for an unusable origin."""
    rest = _origin("rest_url", rest_url, _HTTP)
    websocket = _origin("ws_url", ws_url, _WEBSOCKET)
    return {name: _rewritten(branch, rest, websocket) for name, branch in urls.items()}


def _rewritten(branch: Any, rest: SplitResult | None, websocket: SplitResult | None) -> Any:
    if isinstance(branch, dict):
        return {name: _rewritten(part, rest, websocket) for name, part in branch.items()}
    if isinstance(branch, list):
        return [_rewritten(part, rest, websocket) for part in branch]
    if not isinstance(branch, str):
        return branch
    address = urlsplit(branch)
    origin = rest if address.scheme in _HTTP else websocket if address.scheme in _WEBSOCKET else None
    if origin is None:
        return branch
    return address._replace(scheme=origin.scheme, netloc=origin.netloc).geturl()


def _origin(name: str, text: str | None, schemes: frozenset[str]) -> SplitResult | None:
    if text is None:
        return None
    address = urlsplit(text)
    if address.scheme not in schemes or not address.hostname:
        raise ValueError(f"{name}={text!r}: must be {' or '.join(sorted(schemes))}://host[:port]")
    if address.path.strip("/") or address.query or address.fragment:
        raise ValueError(f"{name}={text!r}: replaces scheme, host and port only, so it must not have a path")
    return address
