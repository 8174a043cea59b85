"""How every ccxt instance of ours is made: it signs and sends, and neither waits nor repeats anything by itself.

ccxt's throttle and retries stay off: the gateway decides (DESIGN 3, 'Rate limits').
"""

from __future__ import annotations

from typing import Any

from adapters.exchange.access import AccountAccess
from adapters.exchange.endpoints import point_at


def config(access: AccountAccess) -> dict[str, Any]:
    """What an instance is made with."""
    return {
        "apiKey": access.api_key,
        "secret": access.secret,
        "enableRateLimit": False,
        "timeout": int(access.timeout_s * 1000),
        "timeout_on_exit": 0,
        "options": {"recvWindow": access.receive_window_ms, "maxRetriesOnFailure": 0},
    }


def direct(api: Any, access: AccountAccess) -> Any:
    """`api`, pointed at demo trading and at the addresses of `access`. Raises ValueError for an unusable address."""
    if access.demo:
        api.enable_demo_trading(True)
    api.urls = point_at(api.urls, access.rest_url, access.ws_url)
    return api
