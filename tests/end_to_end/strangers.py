"""Orders that others lay at the venue with the account's key: by hand, or as a bot that signs its requests."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.request
from decimal import Decimal
from urllib.parse import urlencode

from tests.end_to_end.service import ServiceProcess

QUANTITY = "0.05"
INDEXES = {"": 0, "LONG": 1, "SHORT": 2}
"""Bybit's numbers for the sides of a hedge."""


def lay(service: ServiceProcess, symbol: str, percent: str, side: str, quantity: str) -> str:
    """A human's stop so far from the mark, by hand; gives its id at the venue."""
    mark = service.mark(symbol)
    trigger = service.on_tick(symbol, mark * (100 + Decimal(percent)) / 100)
    done = service.control("stop", symbol=symbol, side=side, trigger=str(trigger), quantity=quantity)
    return str(done["algoId"])


def lay_as(
    service: ServiceProcess,
    symbol: str,
    client_id: str,
    *,
    side: str = "SELL",
    held: str = "",
    quantity: str = QUANTITY,
) -> str:
    """A stop under any client id, by a signed request, as a bot with the same key would; gives its id at the venue.

    `held`: which side of a hedge it is for, LONG or SHORT.
    """
    falls = side == "SELL"
    trigger = str(service.on_tick(symbol, service.mark(symbol) * Decimal("0.94" if falls else "1.06")))
    if service.bybit:
        asked = {"category": "linear", "symbol": symbol, "side": side.capitalize(), "orderType": "Market"}
        asked |= {"qty": quantity, "triggerPrice": trigger, "triggerBy": "MarkPrice", "orderLinkId": client_id}
        body = json.dumps({**asked, "triggerDirection": 2 if falls else 1, "positionIdx": INDEXES[held]})
        stamp = str(time.time_ns() // 1_000_000)
        sign = hmac.new(b"paper", (stamp + "paper" + "5000" + body).encode(), hashlib.sha256).hexdigest()
        names = ("X-BAPI-API-KEY", "X-BAPI-SIGN", "X-BAPI-TIMESTAMP", "X-BAPI-RECV-WINDOW", "Content-Type")
        headers = dict(zip(names, ("paper", sign, stamp, "5000", "application/json"), strict=True))
        url, data = f"{service.endpoint()['rest_url']}/v5/order/create", body.encode()
    else:
        wanted = {"symbol": symbol, "side": side, "algoType": "CONDITIONAL", "type": "STOP_MARKET"}
        wanted |= {"quantity": quantity, "triggerPrice": trigger, "workingType": "MARK_PRICE"}
        wanted |= {"clientAlgoId": client_id, **({"positionSide": held} if held else {})}
        text = urlencode({**wanted, "recvWindow": 5_000, "timestamp": time.time_ns() // 1_000_000})
        text += "&signature=" + hmac.new(b"paper", text.encode(), hashlib.sha256).hexdigest()
        url, data = f"{service.endpoint()['rest_url']}/fapi/v1/algoOrder?{text}", b""
        headers = {"X-MBX-APIKEY": "paper"}
    request = urllib.request.Request(url, data=data, headers=headers, method="POST")  # noqa: S310 - our own exchange
    with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
        answer = json.load(reply)
    assert answer.get("retCode", 0) == 0, answer
    return str(answer["result"]["orderId"] if service.bybit else answer["algoId"])
