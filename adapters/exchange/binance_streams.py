"""Binance USD-M's two streams: mark prices and the account's own events (VENUES C).

An account's events come over a listen key that lives 60 minutes after its last renewal. ccxt renews it once and then
never again (VENUES T6), so the renewal is ours. The key is never deleted: all sessions of an account share one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import ccxt.pro
from loguru import logger

from adapters.exchange import binance_rows as parse
from adapters.exchange import rows as raw
from adapters.exchange.access import AccountAccess
from adapters.exchange.ccxt_streams import Dial, StreamLost
from adapters.exchange.error_codes import BINANCE
from adapters.exchange.instances import config, direct
from adapters.exchange.interface import AccountNews, PriceNews
from adapters.exchange.outcomes import classify
from adapters.exchange.transport import Receipt
from adapters.exchange.venue import BadReply

# A pong may come a ping later: with 1 a connection whose pongs are quick is judged dead by the timer's own jitter.
_MISSED_PONGS = 1.5
_STREAMS_A_FRAME = 100
_RENEWAL_RETRY_S = 60.0
_KEY_GONE = "-1125"
# Events of the account that tell nothing of orders, executions or positions.
_OF_NO_CONCERN = frozenset({"TRADE_LITE", "ACCOUNT_CONFIG_UPDATE", "STRATEGY_UPDATE", "GRID_UPDATE"})


def _open(access: AccountAccess, on_frame: Callable[[Any, Any], None]) -> Any:
    """A ccxt.pro instance that hands each frame to `on_frame` instead of parsing it."""
    streaming = {"keepAlive": int(access.keep_alive_s * 1000), "maxPingPongMisses": _MISSED_PONGS}
    api = ccxt.pro.binanceusdm({**config(access), "streaming": streaming, "handle_message": on_frame})
    return direct(api, access)


def _events(frame: Any) -> list[Any]:
    """The events in a frame: plain, wrapped by a combined stream, or a list. None in an answer to a subscription."""
    if isinstance(frame, dict) and "stream" in frame:
        frame = frame.get("data")
    events = frame if isinstance(frame, list) else [frame]
    for event in events:
        if not isinstance(event, dict):
            raise BadReply(f"an event was expected, not {str(event)[:200]}")
        if "error" in event or ("e" not in event and "code" in event):
            raise StreamLost(f"refused by the venue: {str(event)[:200]}")
    return [event for event in events if "e" in event]


class MarkPriceDialect:
    """`<symbol>@markPrice@1s` of some symbols, or `!markPrice@arr@1s` of all when none are given."""

    def __init__(self, _: AccountAccess, symbols: tuple[str, ...]) -> None:
        """`symbols` are our canonical ones."""
        self._symbols = frozenset(symbols)
        self._channels = [f"{symbol.lower()}@markPrice@1s" for symbol in symbols] or ["!markPrice@arr@1s"]

    def open(self, access: AccountAccess, on_frame: Callable[[Any, Any], None]) -> Any:
        """A fresh ccxt.pro instance."""
        return _open(access, on_frame)

    async def dial(self, api: Any) -> Dial:
        """The market path, and as many subscription frames as it takes."""
        pages = [self._channels[at : at + _STREAMS_A_FRAME] for at in range(0, len(self._channels), _STREAMS_A_FRAME)]
        messages = ({"method": "SUBSCRIBE", "params": page, "id": number} for number, page in enumerate(pages, 1))
        return Dial(url=api.get_ws_url("linear", "market") + "/0", messages=tuple(messages))

    def news(self, frame: Any) -> Iterator[PriceNews]:
        """The mark prices of a frame."""
        for event in _events(frame):
            if event["e"] == "markPriceUpdate" and (not self._symbols or event.get("s") in self._symbols):
                yield raw.read(parse.mark_event, event)


class AccountDialect:
    """Orders, conditional orders, executions and positions of the account that the listen key belongs to."""

    def __init__(self, access: AccountAccess) -> None:
        """`access` says how often the key is renewed."""
        self._access = access

    def open(self, access: AccountAccess, on_frame: Callable[[Any, Any], None]) -> Any:
        """A fresh ccxt.pro instance."""
        return _open(access, on_frame)

    async def dial(self, api: Any) -> Dial:
        """POST /fapi/v1/listenKey, then the private path with the key in it."""
        reply = await api.fapiPrivatePostListenKey()
        key = raw.read(parse.listen_key, reply)

        async def renew() -> None:
            await self._renew(api)

        return Dial(url=api.get_private_ws_url("linear", key), upkeep=renew)

    def news(self, frame: Any) -> Iterator[AccountNews]:
        """What a frame says; an execution before the order that it changed."""
        for event in _events(frame):
            kind = event["e"]
            if kind == "ORDER_TRADE_UPDATE":
                report, fill = raw.read(parse.order_event, event)
                if fill is not None:
                    yield fill
                yield report
            elif kind == "ALGO_UPDATE":
                yield raw.read(parse.algo_event, event)
            elif kind == "ACCOUNT_UPDATE":
                yield from raw.read(parse.position_events, event)
                wallet = raw.read(parse.wallet_event, event)
                if wallet is not None:
                    yield wallet
            elif kind == "listenKeyExpired":
                raise StreamLost("the listen key expired")
            elif kind not in _OF_NO_CONCERN:
                # Margin calls and refused triggers: the refused order's own ALGO_UPDATE is what the owner acts on.
                logger.warning("ACCOUNT_EVENT account={} event={}", self._access.account, event)

    async def _renew(self, api: Any) -> None:
        """PUT the key again and again. A failure is tried again in a minute, unless the venue says that it is gone."""
        pause = self._access.listen_key_refresh_s
        while True:
            await asyncio.sleep(pause)
            try:
                await api.fapiPrivatePutListenKey()
                pause = self._access.listen_key_refresh_s
            except Exception as error:  # noqa: BLE001 - classified: only a key that is gone ends the connection
                verdict = classify(error, BINANCE, Receipt(sent=True), self._access.secrets)
                if verdict.code == _KEY_GONE:
                    raise StreamLost(f"the listen key is gone: {verdict.text}") from None
                logger.warning("LISTEN_KEY_NOT_RENEWED account={} error={}", self._access.account, verdict.text)
                pause = min(_RENEWAL_RETRY_S, self._access.listen_key_refresh_s)
