"""Binance USD-M: the parameters of each request and where its rows are parsed (VENUES A.1, A.3).

Rules of this venue that shape the file: conditional orders have endpoints, ids and a life of their own (algoOrder);
only positionRisk v2 lists flat symbols; a stop cannot be amended or attached; in hedge mode the position side replaces
reduce-only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import ccxt.async_support
from loguru import logger

from adapters.exchange import binance_account
from adapters.exchange import binance_rows as parse
from adapters.exchange import rows as raw
from adapters.exchange.access import AccountAccess
from adapters.exchange.error_codes import BINANCE
from adapters.exchange.instances import config, direct
from adapters.exchange.interface import Balance, Candle, MarkPrice, Usage
from adapters.exchange.venue import CANDLE_SPANS, BadReply, Capabilities, exact
from domain.entries.situation import Quote
from domain.identity import OrderKind
from domain.instrument import Instrument
from domain.orders import Fill, OrderIntent, OrderRef, OrderReport, PositionReport, Source, TriggerBy
from domain.position.plan import MoveStyle

_TYPES: Mapping[OrderKind, str] = {
    OrderKind.ENTRY: "MARKET",
    OrderKind.EXIT: "MARKET",
    OrderKind.STOP: "STOP_MARKET",
    OrderKind.TAKE_PROFIT: "TAKE_PROFIT_MARKET",
}
_WORKING_TYPE: Mapping[TriggerBy, str] = {TriggerBy.MARK: "MARK_PRICE", TriggerBy.LAST: "CONTRACT_PRICE"}
_TRADES_SPAN = timedelta(days=7) - timedelta(milliseconds=1)  # userTrades refuses a longer span between two times
_TRADES_PAGE = 1000
_CANDLES_PAGE = 1500
_MINUTE = timedelta(minutes=1)
_INTERVALS = {span: f"{m}m" if (m := span // _MINUTE) < 60 else f"{m // 60}h" for span in CANDLE_SPANS}


CAPABILITIES = Capabilities(
    attached_stop=False,
    close_position_stop=True,
    amends_stops=False,
    move=MoveStyle.NEW_BEFORE_CANCEL,
    conditional_orders=200,
    reading=3,
    hedge_mode=True,
    triggers=frozenset(TriggerBy),
    limits=binance_account.LIMITS,
)


class BinanceVenue:
    """Requests of Binance USD-M."""

    capabilities = CAPABILITIES
    codes = BINANCE
    domains = binance_account.DOMAINS
    ban_s = binance_account.BAN_S

    def __init__(self, *, hedge_mode: bool = False) -> None:
        """`hedge_mode` is the mode that the account is in: long and short of a symbol are two positions."""
        self._hedge_mode = hedge_mode

    def open(self, access: AccountAccess) -> Any:
        """A ccxt instance for REST, not yet connected."""
        return direct(ccxt.async_support.binanceusdm(config(access)), access)

    async def server_time_ms(self, api: Any) -> int:
        """GET /fapi/v1/time."""
        return raw.read(parse.server_time_ms, await api.fapiPublicGetTime())

    async def instruments(self, api: Any) -> Mapping[str, Instrument]:
        """The USDT-margined perpetuals of exchangeInfo. A row that cannot be read costs that symbol only."""
        reply = await api.fapiPublicGetExchangeInfo()
        known: dict[str, Instrument] = {}
        for row in raw.read(parse.usdt_perpetuals, reply):
            try:
                instrument = raw.read(parse.instrument, row)
            except BadReply as error:
                logger.warning("INSTRUMENT_SKIPPED symbol={} error={}", row.get("symbol"), error)
                continue
            known[instrument.symbol] = instrument
        if not known:
            raise BadReply("exchangeInfo lists no USDT perpetual")
        return known

    def account_questions(self, access: AccountAccess) -> Mapping[str, binance_account.Question]:
        """See `binance_account`."""
        return binance_account.questions(demo=access.demo)

    def usage(self, headers: Mapping[str, str], at_ms: int, _path: str) -> tuple[Usage, ...]:
        """X-MBX-USED-WEIGHT-1M and X-MBX-ORDER-COUNT-*."""
        return binance_account.usage(headers, at_ms)

    async def place(self, api: Any, intent: OrderIntent) -> tuple[str, OrderReport | None]:
        """POST /fapi/v1/order or, for a conditional one, /fapi/v1/algoOrder. The intent must have passed `insanity`."""
        request = {
            "symbol": intent.symbol,
            "side": intent.side.upper(),
            "type": _TYPES[intent.kind],
            "newOrderRespType": "RESULT",
        }
        if self._hedge_mode:
            request["positionSide"] = intent.position_side.upper()  # reduceOnly is refused beside it (VENUES A.1)
        elif intent.reduce_only and not intent.close_position:
            request["reduceOnly"] = "true"
        if intent.close_position:
            request["closePosition"] = "true"
        else:
            request["quantity"] = exact(intent.quantity)
        if intent.limit_price is not None:
            request |= {"type": "LIMIT", "timeInForce": "IOC", "price": exact(intent.limit_price)}
        if intent.trigger_price is None:
            reply = await api.fapiPrivatePostOrder({**request, "newClientOrderId": intent.client_id})
            report = raw.read(parse.order, reply, Source.REPLY)
        else:
            conditional = {
                "algoType": "CONDITIONAL",
                "triggerPrice": exact(intent.trigger_price),
                "workingType": _WORKING_TYPE[intent.trigger_by],
                "clientAlgoId": intent.client_id,
            }
            reply = await api.fapiPrivatePostAlgoOrder(request | conditional)
            report = raw.read(parse.algo, reply, Source.REPLY)
        if report.client_id != intent.client_id:
            raise BadReply(f"the reply is of order {report.client_id!r}, not of {intent.client_id!r}")
        return report.exchange_id, report

    def standing(self, _intent: OrderIntent) -> str | None:
        """Nothing is set by value here."""
        return None

    async def cancel(self, api: Any, ref: OrderRef) -> None:
        """DELETE /fapi/v1/order or /fapi/v1/algoOrder."""
        if ref.conditional:
            await api.fapiPrivateDeleteAlgoOrder(_algo_id(ref))
        else:
            await api.fapiPrivateDeleteOrder(_order_id(ref))

    async def order(self, api: Any, ref: OrderRef) -> OrderReport:
        """GET /fapi/v1/order or /fapi/v1/algoOrder."""
        if ref.conditional:
            return raw.read(parse.algo, await api.fapiPrivateGetAlgoOrder(_algo_id(ref)), Source.QUERY)
        return raw.read(parse.order, await api.fapiPrivateGetOrder(_order_id(ref)), Source.QUERY)

    def open_orders(self, symbol: str | None = None) -> Sequence[Callable[[Any], Awaitable[tuple[OrderReport, ...]]]]:
        """Two lists: ordinary orders and conditional ones, of one symbol at a fortieth of the weight of all."""
        of = {} if symbol is None else {"symbol": symbol}
        return partial(_open_ordinary, of), partial(_open_conditional, of)

    async def positions(self, api: Any, at: datetime) -> tuple[PositionReport, ...]:
        """GET /fapi/v2/positionRisk. It lists every symbol, so an empty list is a lie (LAWS S11)."""
        rows = raw.rows(await api.fapiPrivateV2GetPositionRisk())
        if not rows:
            raise BadReply("positionRisk is empty, though it lists flat symbols too")
        return tuple(raw.read(parse.position, row, at, Source.SNAPSHOT) for row in rows)

    async def position(self, api: Any, symbol: str, at: datetime) -> tuple[PositionReport, ...]:
        """GET /fapi/v2/positionRisk of one symbol."""
        rows = raw.rows(await api.fapiPrivateV2GetPositionRisk({"symbol": symbol}))
        return tuple(raw.read(parse.position, row, at, Source.QUERY) for row in rows)

    async def fills(self, api: Any, symbol: str, since: datetime, until: datetime) -> tuple[Fill, ...]:
        """GET /fapi/v1/userTrades: spans of seven days up to the first trade, from there on by trade id."""
        rows: list[Any] = []
        start = since
        while not rows and start <= until:
            span = {"symbol": symbol, "limit": _TRADES_PAGE, "startTime": raw.stamp(start)}
            if start + _TRADES_SPAN < until:
                span["endTime"] = raw.stamp(start + _TRADES_SPAN)
            rows = raw.rows(await api.fapiPrivateGetUserTrades(span))
            start += _TRADES_SPAN + timedelta(milliseconds=1)
        fills = [raw.read(parse.trade, row) for row in rows]
        # The first page ends at its limit or at its span; when neither cut it off, there is nothing more to ask for.
        more = len(rows) >= _TRADES_PAGE or (bool(rows) and start <= until)
        while more:
            page = {"symbol": symbol, "limit": _TRADES_PAGE, "fromId": int(fills[-1].trade_id) + 1}
            rows = raw.rows(await api.fapiPrivateGetUserTrades(page))
            fills += [raw.read(parse.trade, row) for row in rows]
            more = len(rows) >= _TRADES_PAGE
        return tuple(sorted(fills, key=lambda fill: int(fill.trade_id)))

    async def balance(self, api: Any) -> Balance:
        """GET /fapi/v3/account."""
        return raw.read(parse.balance, await api.fapiPrivateV3GetAccount())

    async def mark_price(self, api: Any, symbol: str) -> MarkPrice:
        """GET /fapi/v1/premiumIndex."""
        return raw.read(parse.premium_index, await api.fapiPublicGetPremiumIndex({"symbol": symbol}))

    async def quote(self, api: Any, symbol: str) -> Quote:
        """GET /fapi/v1/ticker/bookTicker."""
        return raw.read(parse.quote, await api.fapiPublicGetTickerBookTicker({"symbol": symbol}))

    async def mark_candles(self, api: Any, symbol: str, since: datetime, until: datetime) -> tuple[Candle, ...]:
        """GET /fapi/v1/markPriceKlines, pages followed; the last candle is the one under way."""
        candles: list[Candle] = []
        start = since.replace(second=0, microsecond=0)
        while start <= until:
            # A page is paid by the length that was asked for; the candle under way is one more.
            length = min((until - start) // _MINUTE + 2, _CANDLES_PAGE)
            page = {"symbol": symbol, "interval": "1m", "limit": length, "startTime": raw.stamp(start)}
            rows = raw.rows(await api.fapiPublicGetMarkPriceKlines(page))
            candles += [raw.read(parse.candle, row) for row in rows]
            if len(rows) < length:
                break
            start = candles[-1].opened_at + _MINUTE
        return tuple(candles)

    async def candles(
        self, api: Any, symbol: str, span: timedelta, since: datetime, count: int
    ) -> tuple[Candle, ...]:
        """GET /fapi/v1/klines, counted from the start time."""
        interval = _INTERVALS[span]
        page = {"symbol": symbol, "interval": interval, "startTime": raw.stamp(since), "limit": count}
        rows = raw.rows(await api.fapiPublicGetKlines(page))
        return tuple(raw.read(parse.candle, row) for row in rows)

    async def set_leverage(self, api: Any, symbol: str, leverage: int) -> None:
        """POST /fapi/v1/leverage."""
        await api.fapiPrivatePostLeverage({"symbol": symbol, "leverage": leverage})


async def _open_ordinary(of: dict[str, str], api: Any) -> tuple[OrderReport, ...]:
    rows = raw.rows(await api.fapiPrivateGetOpenOrders(of))
    return tuple(raw.read(parse.order, row, Source.SNAPSHOT) for row in rows)


async def _open_conditional(of: dict[str, str], api: Any) -> tuple[OrderReport, ...]:
    rows = raw.rows(await api.fapiPrivateGetOpenAlgoOrders(of))
    return tuple(raw.read(parse.algo, row, Source.SNAPSHOT) for row in rows)


def _order_id(ref: OrderRef) -> dict[str, str]:
    if ref.exchange_id is not None:
        return {"symbol": ref.symbol, "orderId": ref.exchange_id}
    return {"symbol": ref.symbol, "origClientOrderId": _named(ref)}


def _algo_id(ref: OrderRef) -> dict[str, str]:
    """The venue needs no symbol here."""
    return {"algoId": ref.exchange_id} if ref.exchange_id is not None else {"clientAlgoId": _named(ref)}


def _named(ref: OrderRef) -> str:
    if ref.client_id is None:
        raise ValueError(f"{ref}: has neither an exchange id nor a client id")
    return ref.client_id
