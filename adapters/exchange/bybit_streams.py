"""Bybit v5's two streams: mark prices from the tickers, and the account's orders, executions and positions (VENUES C).

Tickers come as a snapshot and then as changes: what a frame does not name has not changed. A symbol can stay silent for
long, so the prices of those that do are asked for by REST (VENUES A.3). The account's stream needs a login; after a
refused one the whole instance is thrown away, since ccxt never asks again on it (T15).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any

import ccxt.pro
from loguru import logger

from adapters.exchange import bybit_rows as parse
from adapters.exchange.access import AccountAccess
from adapters.exchange.ccxt_streams import Dial, StreamLost
from adapters.exchange.error_codes import BYBIT
from adapters.exchange.instances import config, direct
from adapters.exchange.interface import AccountNews, MarkPrice, PriceNews, WalletReport
from adapters.exchange.outcomes import classify
from adapters.exchange.rows import instant, read, stamp
from adapters.exchange.transport import Receipt
from adapters.exchange.venue import BadReply
from domain.orders import Source

_MISSED_PONGS = 1.5
_TOPICS_A_FRAME = 100
_REPEAT_MS = 1000  # how old an unchanged price may be in the feed: as often as the other venue repeats one
_QUIET_S = 8.0  # after which a symbol's price is asked for: twice that is less than what the feed calls stale
_LOGIN_VALID_MS = 10_000
_LINEAR = {"category": "linear"}
_PRIVATE = ("order", "execution", "position", "wallet")


def _open(access: AccountAccess, on_frame: Callable[[Any, Any], None], ping_s: float) -> Any:
    """A ccxt.pro instance that hands each frame to `on_frame` instead of parsing it."""
    streaming = {"keepAlive": int(ping_s * 1000), "maxPingPongMisses": _MISSED_PONGS}
    api = ccxt.pro.bybit({**config(access), "streaming": streaming, "handle_message": on_frame})
    return direct(api, access)


def _said(frame: Any) -> bool:
    """Whether a frame answers one of our own messages instead of telling news. Raises StreamLost for a refusal."""
    if not isinstance(frame, dict):
        raise BadReply(f"an object was expected, not {str(frame)[:200]}")
    if "topic" in frame:
        return False
    if frame.get("success") is False or str(frame.get("retCode", 0)) != "0":
        words = frame.get("ret_msg") or frame.get("retMsg") or frame.get("op")
        raise StreamLost(f"refused by the venue: {str(words)[:200]}")
    return True


def _rows(frame: Any) -> list[Any]:
    """The rows of linear contracts in a frame of a private topic; a topic of all contracts names the kind in each."""
    rows = frame["data"]
    if not isinstance(rows, list):
        raise TypeError(f"data={str(rows)[:100]}: must be a list")
    return [row for row in rows if row.get("category", "linear") == "linear"]


class MarkPriceDialect:
    """`tickers.<symbol>` of some symbols, or of every one that trades when none are given."""

    def __init__(self, access: AccountAccess, symbols: tuple[str, ...], quiet_s: float = _QUIET_S) -> None:
        """`symbols` are our canonical ones. A symbol that was silent for `quiet_s` seconds is asked about."""
        self._access = access
        self._symbols = symbols
        self._quiet_s = quiet_s
        self._latest: dict[str, MarkPrice] = {}
        self._heard: dict[str, float] = {}
        self._deliver: Callable[[Any, Any], None] = _nowhere

    def open(self, access: AccountAccess, on_frame: Callable[[Any, Any], None]) -> Any:
        """A fresh ccxt.pro instance. It pings often enough that a silence is noticed in time."""
        self._deliver = on_frame
        return _open(access, on_frame, min(access.keep_alive_s, access.silence_s / 2.5))

    async def dial(self, api: Any) -> Dial:
        """The public path; the channels go out as messages. Without given symbols the tickers name them."""
        symbols = self._symbols or await _all_symbols(api)
        self._latest.clear()
        self._heard = dict.fromkeys(symbols, _clock())
        topics = [f"tickers.{symbol}" for symbol in symbols]
        pages = [topics[at : at + _TOPICS_A_FRAME] for at in range(0, len(topics), _TOPICS_A_FRAME)]
        deliver = self._deliver

        async def ask_for_the_quiet() -> None:
            await self._ask_for_the_quiet(api, deliver)

        return Dial(
            url=api.implode_hostname(api.urls["api"]["ws"]["public"]["linear"]),
            messages=tuple({"op": "subscribe", "args": page, "req_id": str(n)} for n, page in enumerate(pages, 1)),
            upkeep=ask_for_the_quiet,
            changes_only=True,
        )

    def news(self, frame: Any) -> Iterator[PriceNews]:
        """The mark price of a frame, if it has changed or the last one said is older than a second."""
        if _said(frame):
            return
        price = read(self._price, frame)
        if price is not None:
            self._latest[price.symbol] = price
            yield price

    def _price(self, frame: Any) -> MarkPrice | None:
        row, at_ms = frame["data"], int(frame["ts"])
        symbol = row["symbol"]
        self._heard[symbol] = _clock()
        if row.get("markPrice") not in (None, ""):
            return parse.ticker(row, instant(at_ms))
        last = self._latest.get(symbol)
        if last is None or at_ms - stamp(last.at) < _REPEAT_MS:
            return None
        return MarkPrice(symbol=symbol, price=last.price, at=instant(at_ms))

    async def _ask_for_the_quiet(self, api: Any, deliver: Callable[[Any, Any], None]) -> None:
        """Ask for the tickers of what was silent for long, in one request; a failure is tried again."""
        while True:
            await asyncio.sleep(self._quiet_s / 2)
            try:
                await self._ask_once(api, deliver)
            except Exception as error:  # noqa: BLE001 - the stream lives on, its prices are as old as they are
                verdict = classify(error, BYBIT, Receipt(sent=True), self._access.secrets)
                logger.warning("PRICE_NOT_ASKED account={} error={}", self._access.account, verdict.text)

    async def _ask_once(self, api: Any, deliver: Callable[[Any, Any], None]) -> None:
        quiet = {symbol for symbol, heard in self._heard.items() if _clock() - heard > self._quiet_s}
        if not quiet:
            return
        alone = {"symbol": next(iter(quiet))} if len(quiet) == 1 else {}
        reply = await api.publicGetV5MarketTickers(_LINEAR | alone)
        at_ms = read(parse.server_time_ms, reply)
        for row in read(parse.listed, reply)[0]:
            if row.get("symbol") in quiet:
                deliver(None, {"topic": f"tickers.{row['symbol']}", "ts": at_ms, "data": row})


class AccountDialect:
    """Orders, executions and positions of the account that logs in."""

    def __init__(self, access: AccountAccess) -> None:
        """`access` has the keys and the position mode."""
        self._access = access

    def open(self, access: AccountAccess, on_frame: Callable[[Any, Any], None]) -> Any:
        """A fresh ccxt.pro instance."""
        return _open(access, on_frame, access.keep_alive_s)

    async def dial(self, api: Any) -> Dial:
        """GET /v5/market/time for the login's expiry (our clock may be off), then the private path, login, topics."""
        expires = read(parse.server_time_ms, await api.publicGetV5MarketTime()) + _LOGIN_VALID_MS
        words = f"GET/realtime{expires}"
        signature = hmac.new(self._access.secret.encode(), words.encode(), hashlib.sha256).hexdigest()
        return Dial(
            url=api.implode_hostname(api.urls["api"]["ws"]["private"]["contract"]),
            greeting=(
                {"op": "auth", "args": [self._access.api_key, expires, signature]},
                {"op": "subscribe", "args": list(_PRIVATE)},
            ),
            acknowledges=_acknowledges,
        )

    def news(self, frame: Any) -> Iterator[AccountNews]:
        """What a frame says, in its own order."""
        if _said(frame):
            return
        topic = str(frame["topic"]).partition(".")[0]
        rows = read(_rows, frame)
        for row in rows:
            if topic == "order":
                yield from read(parse.orders, row, Source.STREAM)
            elif topic == "execution":
                if read(parse.is_execution, row):
                    yield read(parse.fill, row, self._access.hedge_mode)
            elif topic == "position":
                yield read(parse.pushed_position, row)
            elif topic == "wallet":
                told = read(parse.wallet, row)
                if told is not None:
                    yield WalletReport(wallet=told.wallet, total=told.total, free=told.free)


def _acknowledges(frame: Any) -> bool:
    """Whether it is the answer to a login or a subscription; a pong is none."""
    return _said(frame) and frame.get("op") in ("auth", "subscribe")


async def _all_symbols(api: Any) -> tuple[str, ...]:
    """GET /v5/market/tickers: every USDT perpetual; dated contracts have a dash in their names."""
    rows, _ = read(parse.listed, await api.publicGetV5MarketTickers(_LINEAR))
    names = (str(row.get("symbol")) for row in rows)
    return tuple(sorted(name for name in names if name.endswith("USDT") and "-" not in name))


def _clock() -> float:
    return asyncio.get_running_loop().time()


def _nowhere(_: Any, __: Any) -> None:
    """Where frames go before there is a connection."""
