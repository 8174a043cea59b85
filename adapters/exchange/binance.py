"""Binance USD-M: the parameters of each request and where its rows are parsed (VENUES A.1, A.3).

Rules of this venue that shape the file: conditional orders have endpoints, ids and a life of their own (algoOrder);
only positionRisk v2 lists flat symbols; a stop cannot be amended or attached; one-way mode only for now.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import ccxt.async_support
from loguru import logger

from adapters.exchange import binance_rows as parse
from adapters.exchange.access import AccountAccess
from adapters.exchange.endpoints import point_at
from adapters.exchange.interface import Balance, Candle, MarkPrice, VenueFailure
from adapters.exchange.venue import BadReply, Capabilities, exact
from domain.identity import OrderKind
from domain.instrument import Instrument
from domain.orders import Fill, OrderIntent, OrderRef, OrderReport, PositionReport, RejectReason, Source, TriggerBy

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


def config(access: AccountAccess) -> dict[str, Any]:
    """What every ccxt instance is made with. ccxt's throttle and retries stay off: the gateway decides."""
    return {
        "apiKey": access.api_key,
        "secret": access.secret,
        "enableRateLimit": False,
        "timeout": int(access.timeout_s * 1000),
        "timeout_on_exit": 0,
        "options": {"recvWindow": access.receive_window_ms, "maxRetriesOnFailure": 0},
    }


def direct(api: Any, access: AccountAccess) -> Any:
    """`api`, pointed at demo trading and at the addresses of `access`."""
    if access.demo:
        api.enable_demo_trading(True)
    api.urls = point_at(api.urls, access.rest_url, access.ws_url)
    return api


class BinanceVenue:
    """Requests of Binance USD-M."""

    capabilities = Capabilities(attached_stop=False, amends_stops=False, conditional_orders=200)

    def open(self, access: AccountAccess) -> Any:
        """A ccxt instance for REST, not yet connected."""
        return direct(ccxt.async_support.binanceusdm(config(access)), access)

    async def server_time_ms(self, api: Any) -> int:
        """GET /fapi/v1/time."""
        return parse.read(parse.server_time_ms, await api.fapiPublicGetTime())

    async def instruments(self, api: Any) -> Mapping[str, Instrument]:
        """The USDT-margined perpetuals of exchangeInfo. A row that cannot be read costs that symbol only."""
        reply = await api.fapiPublicGetExchangeInfo()
        known: dict[str, Instrument] = {}
        for row in parse.read(parse.usdt_perpetuals, reply):
            try:
                instrument = parse.read(parse.instrument, row)
            except BadReply as error:
                logger.warning("INSTRUMENT_SKIPPED symbol={} error={}", row.get("symbol"), error)
                continue
            known[instrument.symbol] = instrument
        if not known:
            raise BadReply("exchangeInfo lists no USDT perpetual")
        return known

    async def check_account(self, api: Any) -> None:
        """Proves the key by a signed request, and that the account is in one-way mode."""
        reply = await api.fapiPrivateGetPositionSideDual()
        if reply.get("dualSidePosition") is not False:
            text = "the account is in hedge mode: only one-way mode is supported, and we never change it"
            raise VenueFailure(RejectReason.OTHER, "hedge_mode", text, certain=True)

    async def place(self, api: Any, intent: OrderIntent) -> tuple[str, OrderReport | None]:
        """POST /fapi/v1/order or, for a conditional one, /fapi/v1/algoOrder. The intent must have passed `insanity`."""
        request = {
            "symbol": intent.symbol,
            "side": intent.side.upper(),
            "type": _TYPES[intent.kind],
            "quantity": exact(intent.quantity),
            "newOrderRespType": "RESULT",
        }
        if intent.reduce_only:
            request["reduceOnly"] = "true"
        if intent.trigger_price is None:
            reply = await api.fapiPrivatePostOrder({**request, "newClientOrderId": intent.client_id})
            report = parse.read(parse.order, reply, Source.REPLY)
        else:
            conditional = {
                "algoType": "CONDITIONAL",
                "triggerPrice": exact(intent.trigger_price),
                "workingType": _WORKING_TYPE[intent.trigger_by],
                "clientAlgoId": intent.client_id,
            }
            reply = await api.fapiPrivatePostAlgoOrder(request | conditional)
            report = parse.read(parse.algo, reply, Source.REPLY)
        if report.client_id != intent.client_id:
            raise BadReply(f"the reply is of order {report.client_id!r}, not of {intent.client_id!r}")
        return report.exchange_id, report

    async def cancel(self, api: Any, ref: OrderRef) -> None:
        """DELETE /fapi/v1/order or /fapi/v1/algoOrder."""
        if ref.conditional:
            await api.fapiPrivateDeleteAlgoOrder(_algo_id(ref))
        else:
            await api.fapiPrivateDeleteOrder(_order_id(ref))

    async def order(self, api: Any, ref: OrderRef) -> OrderReport:
        """GET /fapi/v1/order or /fapi/v1/algoOrder."""
        if ref.conditional:
            return parse.read(parse.algo, await api.fapiPrivateGetAlgoOrder(_algo_id(ref)), Source.QUERY)
        return parse.read(parse.order, await api.fapiPrivateGetOrder(_order_id(ref)), Source.QUERY)

    def open_orders(self) -> Sequence[Callable[[Any], Awaitable[tuple[OrderReport, ...]]]]:
        """Two lists: ordinary orders and conditional ones, each of all symbols."""
        return _open_ordinary, _open_conditional

    async def positions(self, api: Any, at: datetime) -> tuple[PositionReport, ...]:
        """GET /fapi/v2/positionRisk. It lists every symbol, so an empty list is a lie (LAWS S11)."""
        rows = parse.rows(await api.fapiPrivateV2GetPositionRisk())
        if not rows:
            raise BadReply("positionRisk is empty, though it lists flat symbols too")
        return tuple(parse.read(parse.position, row, at, Source.SNAPSHOT) for row in rows)

    async def position(self, api: Any, symbol: str, at: datetime) -> tuple[PositionReport, ...]:
        """GET /fapi/v2/positionRisk of one symbol."""
        rows = parse.rows(await api.fapiPrivateV2GetPositionRisk({"symbol": symbol}))
        return tuple(parse.read(parse.position, row, at, Source.QUERY) for row in rows)

    async def fills(self, api: Any, symbol: str, since: datetime, until: datetime) -> tuple[Fill, ...]:
        """GET /fapi/v1/userTrades: spans of seven days up to the first trade, from there on by trade id."""
        rows: list[Any] = []
        start = since
        while not rows and start <= until:
            span = {"symbol": symbol, "limit": _TRADES_PAGE, "startTime": parse.stamp(start)}
            if start + _TRADES_SPAN < until:
                span["endTime"] = parse.stamp(start + _TRADES_SPAN)
            rows = parse.rows(await api.fapiPrivateGetUserTrades(span))
            start += _TRADES_SPAN + timedelta(milliseconds=1)
        fills = [parse.read(parse.trade, row) for row in rows]
        # The first page ends at its limit or at its span; when neither cut it off, there is nothing more to ask for.
        more = len(rows) >= _TRADES_PAGE or (bool(rows) and start <= until)
        while more:
            page = {"symbol": symbol, "limit": _TRADES_PAGE, "fromId": int(fills[-1].trade_id) + 1}
            rows = parse.rows(await api.fapiPrivateGetUserTrades(page))
            fills += [parse.read(parse.trade, row) for row in rows]
            more = len(rows) >= _TRADES_PAGE
        return tuple(sorted(fills, key=lambda fill: int(fill.trade_id)))

    async def balance(self, api: Any) -> Balance:
        """GET /fapi/v3/account."""
        return parse.read(parse.balance, await api.fapiPrivateV3GetAccount())

    async def mark_price(self, api: Any, symbol: str) -> MarkPrice:
        """GET /fapi/v1/premiumIndex."""
        return parse.read(parse.premium_index, await api.fapiPublicGetPremiumIndex({"symbol": symbol}))

    async def mark_candles(self, api: Any, symbol: str, since: datetime, until: datetime) -> tuple[Candle, ...]:
        """GET /fapi/v1/markPriceKlines, pages followed; the last candle is the one under way."""
        candles: list[Candle] = []
        start = since.replace(second=0, microsecond=0)
        while start <= until:
            page = {"symbol": symbol, "interval": "1m", "limit": _CANDLES_PAGE, "startTime": parse.stamp(start)}
            rows = parse.rows(await api.fapiPublicGetMarkPriceKlines(page))
            candles += [parse.read(parse.candle, row) for row in rows]
            if len(rows) < _CANDLES_PAGE:
                break
            start = candles[-1].opened_at + _MINUTE
        return tuple(candles)

    async def set_leverage(self, api: Any, symbol: str, leverage: int) -> None:
        """POST /fapi/v1/leverage."""
        await api.fapiPrivatePostLeverage({"symbol": symbol, "leverage": leverage})


async def _open_ordinary(api: Any) -> tuple[OrderReport, ...]:
    rows = parse.rows(await api.fapiPrivateGetOpenOrders())
    return tuple(parse.read(parse.order, row, Source.SNAPSHOT) for row in rows)


async def _open_conditional(api: Any) -> tuple[OrderReport, ...]:
    rows = parse.rows(await api.fapiPrivateGetOpenAlgoOrders())
    return tuple(parse.read(parse.algo, row, Source.SNAPSHOT) for row in rows)


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
