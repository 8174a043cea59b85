"""Real clients for the Bybit dialect of the paper exchange as a process: unmodified ccxt and pybit, pointed at it."""

from typing import Any

import ccxt.async_support
import ccxt.pro

from tests.unit.paper_exchange.program import Program

SYMBOL = "BTC/USDT:USDT"


def ccxt_client(program: Program, *, pro: bool = True) -> Any:
    """A ccxt client, configured as VENUES B.4 says."""
    rest, stream = program.endpoint["rest_url"], program.endpoint["ws_url"]
    urls: dict[str, Any] = dict.fromkeys(("spot", "futures", "v2", "public", "private"), rest)
    urls["ws"] = {
        "public": {"linear": stream + "/v5/public/linear"},
        "private": {"contract": stream + "/v5/private", "trade": stream + "/v5/trade"},
    }
    settings = {
        "apiKey": "paper",
        "secret": "paper",
        "urls": {"api": urls},
        "enableRateLimit": False,
        "options": {
            "fetchMarkets": {"types": ["linear"]},
            "watchPositions": {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False},
        },
    }
    client = (ccxt.pro if pro else ccxt.async_support).bybit(settings)
    client.has["fetchCurrencies"] = False
    return client
