"""Bybit v5 linear, unified account: the parameters of each request and where its rows are parsed (VENUES A.2, A.3).

Rules of this venue that shape the file: a stop can stand on the position itself and is then set by value, without an id
of ours (trading-stop); a resting conditional order is amended in place; the reply to an order is an acknowledgement and
says nothing of its state; lists come in pages; a position that is flat is listed only when asked for by its symbol.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import ccxt.async_support
from loguru import logger

from adapters.exchange import bybit_account
from adapters.exchange import bybit_rows as parse
from adapters.exchange.access import AccountAccess
from adapters.exchange.error_codes import BYBIT
from adapters.exchange.instances import config, direct
from adapters.exchange.interface import Balance, Candle, MarkPrice, Usage
from adapters.exchange.pages import whole_list
from adapters.exchange.rows import Row, instant, read, stamp
from adapters.exchange.venue import BadReply, Capabilities, NoSuchOrder, attached_id, exact
from domain.entries.situation import Quote
from domain.identity import OrderKind
from domain.instrument import Instrument, PositionSide
from domain.orders import Fill, OrderIntent, OrderRef, OrderReport, PositionReport, Source, TriggerBy
from domain.position.plan import MoveStyle

CAPABILITIES = Capabilities(
    attached_stop=True,
    close_position_stop=False,
    amends_stops=True,
    move=MoveStyle.ATTACHED,
    conditional_orders=None,
    reading=2,
    hedge_mode=True,
    triggers=frozenset(TriggerBy),
    limits=bybit_account.LIMITS,
)
_LINEAR = {"category": "linear"}
_SETTLED = {"category": "linear", "settleCoin": "USDT"}
_TRIGGER: Mapping[TriggerBy, str] = {TriggerBy.MARK: "MarkPrice", TriggerBy.LAST: "LastPrice"}
_RISING, _FALLING = 1, 2
_NO_STOP = "0"
# The longest pages that the venue gives.
_INSTRUMENTS_PAGE = 1000
_POSITIONS_PAGE = 200
_ORDERS_PAGE = 50
_EXECUTIONS_PAGE = 100
_CANDLES_PAGE = 1000
_LONGEST_SPAN = timedelta(days=7) - timedelta(milliseconds=1)
_MINUTE = timedelta(minutes=1)
_PROFIT_LISTED_WITHIN = timedelta(seconds=30)


class BybitVenue:
    """Requests of Bybit v5 linear."""

    capabilities = CAPABILITIES
    codes = BYBIT
    domains = bybit_account.DOMAINS
    ban_s = bybit_account.BAN_S

    def __init__(self, *, hedge_mode: bool = False) -> None:
        """`hedge_mode` is the mode that the account is in: long and short of a symbol are two positions."""
        self._hedge_mode = hedge_mode

    def open(self, access: AccountAccess) -> Any:
        """A ccxt instance for REST, not yet connected."""
        return direct(ccxt.async_support.bybit(config(access)), access)

    async def server_time_ms(self, api: Any) -> int:
        """GET /v5/market/time."""
        return read(parse.server_time_ms, await api.publicGetV5MarketTime())

    async def instruments(self, api: Any) -> Mapping[str, Instrument]:
        """GET /v5/market/instruments-info: the USDT perpetuals. A row that cannot be read costs that symbol only."""
        request = {**_LINEAR, "limit": _INSTRUMENTS_PAGE}
        rows = await whole_list(api.publicGetV5MarketInstrumentsInfo, request, parse.listed, _symbol)
        known: dict[str, Instrument] = {}
        for row in rows:
            if not parse.usdt_perpetual(row):
                continue
            try:
                instrument = read(parse.instrument, row)
            except BadReply as error:
                logger.warning("INSTRUMENT_SKIPPED symbol={} error={}", row.get("symbol"), error)
                continue
            known[instrument.symbol] = instrument
        if not known:
            raise BadReply("instruments-info lists no USDT perpetual")
        return known

    def account_questions(self, _access: AccountAccess) -> Mapping[str, bybit_account.Question]:
        """See `bybit_account`."""
        return bybit_account.questions()

    def usage(self, headers: Mapping[str, str], at_ms: int, path: str) -> tuple[Usage, ...]:
        """X-Bapi-Limit and its companions."""
        return bybit_account.usage(headers, at_ms, path)

    async def place(self, api: Any, intent: OrderIntent) -> tuple[str, OrderReport | None]:
        """Send an order, set a stop on the position or change a resting one. The intent must have passed `insanity`."""
        if intent.attached:
            await api.privatePostV5PositionTradingStop(self._stop_on_position(intent))
            return attached_id(intent.symbol, intent.position_side), None
        if intent.replaces is not None:
            reply = await api.privatePostV5OrderAmend(_amendment(intent, intent.replaces))
            return read(parse.order_id, reply)[0], None
        reply = await api.privatePostV5OrderCreate(self._order(intent))
        exchange_id, client_id = read(parse.order_id, reply)
        if client_id != intent.client_id:
            raise BadReply(f"the reply is of order {client_id!r}, not of {intent.client_id!r}")
        return exchange_id, None

    def standing(self, intent: OrderIntent) -> str | None:
        """A stop that is set by value, on the position or on a resting order, may be there already."""
        if intent.attached:
            return attached_id(intent.symbol, intent.position_side)
        return None if intent.replaces is None else intent.replaces.exchange_id

    async def cancel(self, api: Any, ref: OrderRef) -> None:
        """POST /v5/order/cancel, or take the stop from the position by setting it to 0."""
        if ref.attached:
            position = {**_LINEAR, "symbol": ref.symbol, "positionIdx": self._index(ref.position_side)}
            request = {**position, "tpslMode": "Full", "stopLoss": _NO_STOP}
            if ref.with_profit:
                request["takeProfit"] = _NO_STOP
            await api.privatePostV5PositionTradingStop(request)
        else:
            await api.privatePostV5OrderCancel({**_LINEAR, "symbol": ref.symbol, **_id(ref)})

    async def order(self, api: Any, ref: OrderRef) -> OrderReport:
        """One order: among the open and recent ones, then in the history. Raises NoSuchOrder if neither knows it.

        A stop on the position is read from the position. After the venue was restarted only the history knows of
        orders that are over; an order that is being amended is shown as it stands.
        """
        if ref.attached:
            asked_at = instant(api.milliseconds() - int(api.options["timeDifference"]))
            reply = await api.privateGetV5PositionList({**_LINEAR, "symbol": ref.symbol})
            rows, _ = read(parse.listed, reply)
            shown = ref.position_side if self._hedge_mode else None
            return read(parse.attached_stop, rows, ref.symbol, shown, asked_at)
        request = {**_LINEAR, "symbol": ref.symbol, **_id(ref)}
        for ask in (api.privateGetV5OrderRealtime, api.privateGetV5OrderHistory):
            report = _asked(read(parse.listed, await ask(request))[0], ref)
            if report is not None:
                return report
        raise NoSuchOrder(f"no order {_id(ref)} of {ref.symbol} is open, recent or in the history")

    def open_orders(self, symbol: str | None = None) -> Sequence[Callable[[Any], Awaitable[tuple[OrderReport, ...]]]]:
        """One list of all kinds of orders, stops on positions among them."""
        return (partial(_open_orders, symbol),)

    async def positions(self, api: Any, at: datetime) -> tuple[PositionReport, ...]:
        """GET /v5/position/list of all that is open; what is flat is not in it."""
        request = {**_SETTLED, "limit": _POSITIONS_PAGE}
        rows = await whole_list(api.privateGetV5PositionList, request, parse.listed, _place)
        return tuple(read(parse.position, row, at, Source.SNAPSHOT) for row in rows)

    async def position(self, api: Any, symbol: str, at: datetime) -> tuple[PositionReport, ...]:
        """GET /v5/position/list of one symbol, flat rows too."""
        rows, _ = read(parse.listed, await api.privateGetV5PositionList({**_LINEAR, "symbol": symbol}))
        return tuple(read(parse.position, row, at, Source.QUERY) for row in rows)

    async def fills(self, api: Any, symbol: str, since: datetime, until: datetime) -> tuple[Fill, ...]:
        """GET /v5/execution/list in spans of seven days, and what was gained where its rows do not say that."""
        fills: list[Fill] = []
        start = since
        while start <= until:
            end = min(start + _LONGEST_SPAN, until)
            span = {**_LINEAR, "symbol": symbol, "startTime": stamp(start), "endTime": stamp(end)}
            request = {**span, "limit": _EXECUTIONS_PAGE}
            rows = await whole_list(api.privateGetV5ExecutionList, request, parse.listed, _execution)
            executed = [row for row in rows if read(parse.is_execution, row)]
            silent = any(read(parse.closes, row) and row.get("execPnl") in (None, "") for row in executed)
            entries = await _entry_prices(api, request) if silent else {}
            if silent:
                _require_entries(executed, entries, until)
            fills += [
                read(parse.fill, row, self._hedge_mode, entries.get(str(row.get("orderId")))) for row in executed
            ]
            start = end + timedelta(milliseconds=1)
        return tuple(sorted(fills, key=lambda fill: fill.at))

    async def balance(self, api: Any) -> Balance:
        """GET /v5/account/wallet-balance."""
        reply = await api.privateGetV5AccountWalletBalance({"accountType": "UNIFIED", "coin": "USDT"})
        return read(parse.balance, reply)

    async def mark_price(self, api: Any, symbol: str) -> MarkPrice:
        """GET /v5/market/tickers of one symbol."""
        row, at = await self._ticker(api, symbol)
        return read(parse.ticker, row, at)

    async def quote(self, api: Any, symbol: str) -> Quote:
        """GET /v5/market/tickers of one symbol."""
        row, _ = await self._ticker(api, symbol)
        return read(parse.quote, row)

    async def _ticker(self, api: Any, symbol: str) -> tuple[Any, datetime]:
        reply = await api.publicGetV5MarketTickers({**_LINEAR, "symbol": symbol})
        rows, _ = read(parse.listed, reply)
        if len(rows) != 1:
            raise BadReply(f"tickers of {symbol}: {len(rows)} rows in the reply, there must be 1")
        return rows[0], instant(read(parse.server_time_ms, reply))

    async def mark_candles(self, api: Any, symbol: str, since: datetime, until: datetime) -> tuple[Candle, ...]:
        """GET /v5/market/mark-price-kline, newest first; the last candle is the one under way."""
        candles: list[Candle] = []
        start = since.replace(second=0, microsecond=0)
        while start <= until:
            end = start + _MINUTE * (_CANDLES_PAGE - 1)
            span = {"start": stamp(start), "end": stamp(end), "limit": _CANDLES_PAGE}
            request = {**_LINEAR, "symbol": symbol, "interval": "1", **span}
            rows, _ = read(parse.listed, await api.publicGetV5MarketMarkPriceKline(request))
            candles += [read(parse.candle, row) for row in reversed(rows)]
            start = end + _MINUTE
        return tuple(candles)

    async def candles(
        self, api: Any, symbol: str, span: timedelta, since: datetime, count: int
    ) -> tuple[Candle, ...]:
        """GET /v5/market/kline, newest first, counted back from the end."""
        page = {"start": stamp(since), "end": stamp(since + span * (count - 1)), "limit": count}
        request = {**_LINEAR, "symbol": symbol, "interval": str(span // _MINUTE), **page}
        rows, _ = read(parse.listed, await api.publicGetV5MarketKline(request))
        return tuple(read(parse.candle, row) for row in reversed(rows))

    async def set_leverage(self, api: Any, symbol: str, leverage: int) -> None:
        """POST /v5/position/set-leverage, both sides alike."""
        both = {"buyLeverage": str(leverage), "sellLeverage": str(leverage)}
        await api.privatePostV5PositionSetLeverage({**_LINEAR, "symbol": symbol, **both})

    def _index(self, side: PositionSide | None) -> int:
        """The position index: 0 in one-way mode, else 1 for the long and 2 for the short. Raises ValueError."""
        if not self._hedge_mode:
            return 0
        if side is None:
            raise ValueError("hedge mode: a position side is needed to tell which position is meant")
        return 1 if side is PositionSide.LONG else 2

    def _order(self, intent: OrderIntent) -> dict[str, Any]:
        """POST /v5/order/create. A closing conditional order is let through whatever the margin (closeOnTrigger)."""
        request: dict[str, Any] = {
            **_LINEAR,
            "symbol": intent.symbol,
            "side": intent.side.capitalize(),
            "orderType": "Market",
            "qty": exact(intent.quantity),
            "positionIdx": self._index(intent.position_side),
            "orderLinkId": intent.client_id,
        }
        if intent.limit_price is not None:
            request |= {"orderType": "Limit", "timeInForce": "IOC", "price": exact(intent.limit_price)}
        if intent.reduce_only:
            request["reduceOnly"] = True
        if intent.attached_stop is not None:
            request |= _stop_loss(intent.attached_stop, intent.trigger_by)
        if intent.trigger_price is not None:
            adverse = intent.kind is OrderKind.STOP
            falls = (intent.position_side is PositionSide.LONG) is adverse
            request |= {
                "triggerPrice": exact(intent.trigger_price),
                "triggerDirection": _FALLING if falls else _RISING,
                "triggerBy": _TRIGGER[intent.trigger_by],
                "closeOnTrigger": True,
            }
        return request

    def _stop_on_position(self, intent: OrderIntent) -> dict[str, Any]:
        """POST /v5/position/trading-stop: the same value twice is the same stop."""
        position = {**_LINEAR, "symbol": intent.symbol, "positionIdx": self._index(intent.position_side)}
        return {**position, **_stop_loss(_triggered_at(intent), intent.trigger_by)}


def _stop_loss(trigger: Decimal, by: TriggerBy) -> dict[str, str]:
    """A stop on the whole position. Without `slTriggerBy` it would watch the last price (VENUES A.2)."""
    return {"stopLoss": exact(trigger), "slTriggerBy": _TRIGGER[by], "tpslMode": "Full"}


def _amendment(intent: OrderIntent, ref: OrderRef) -> dict[str, Any]:
    """POST /v5/order/amend. What it watches is always said again: ccxt's own call resets it (VENUES T9)."""
    return {
        **_LINEAR,
        "symbol": intent.symbol,
        **_id(ref),
        "qty": exact(intent.quantity),
        "triggerPrice": exact(_triggered_at(intent)),
        "triggerBy": _TRIGGER[intent.trigger_by],
    }


def _triggered_at(intent: OrderIntent) -> Decimal:
    if intent.trigger_price is None:
        raise ValueError(f"client_id={intent.client_id}: a stop needs a trigger price")
    return intent.trigger_price


def _asked(rows: list[Row], ref: OrderRef) -> OrderReport | None:
    """The order that was asked for, or None. A venue that does not know a parameter answers with any (VENUES T11)."""
    if not rows:
        return None
    report = read(parse.asked_order, rows[0], ref.conditional)
    wanted = _id(ref)
    if len(rows) > 1 or wanted not in ({"orderId": report.exchange_id}, {"orderLinkId": report.client_id}):
        raise BadReply(f"asked for {wanted}, the reply has {len(rows)} orders, the first {report.exchange_id}")
    return report


async def _open_orders(symbol: str | None, api: Any) -> tuple[OrderReport, ...]:
    """GET /v5/order/realtime."""
    of = _SETTLED if symbol is None else {**_LINEAR, "symbol": symbol}
    request = {**of, "openOnly": 0, "limit": _ORDERS_PAGE}
    rows = await whole_list(api.privateGetV5OrderRealtime, request, parse.listed, _order_key)
    return tuple(report for row in rows for report in read(parse.orders, row, Source.SNAPSHOT))


async def _entry_prices(api: Any, request: dict[str, Any]) -> dict[str, Decimal]:
    """GET /v5/position/closed-pnl: at what average price the position was entered that each order closed."""
    rows = await whole_list(api.privateGetV5PositionClosedPnl, request, parse.listed, _closed_key)
    return dict(read(parse.closed_entry, row) for row in rows)


def _require_entries(executed: list[Row], entries: Mapping[str, Decimal], now: datetime) -> None:
    """What a young execution gained may not be listed yet: the list is asked for again, and no gain taken for nothing.

    Raises BadReply.
    """
    young = now - _PROFIT_LISTED_WITHIN
    for row in executed:
        closed = read(parse.closes, row) and row.get("execPnl") in (None, "")
        if closed and str(row.get("orderId")) not in entries and read(parse.executed_at, row) > young:
            raise BadReply(f"closed-pnl does not list order {row.get('orderId')} yet")


def _id(ref: OrderRef) -> dict[str, str]:
    if ref.exchange_id is not None:
        return {"orderId": ref.exchange_id}
    if ref.client_id is None:
        raise ValueError(f"{ref}: has neither an exchange id nor a client id")
    return {"orderLinkId": ref.client_id}


def _symbol(row: Row) -> str:
    return str(row["symbol"])


def _place(row: Row) -> tuple[str, str]:
    return str(row["symbol"]), str(row["positionIdx"])


def _order_key(row: Row) -> str:
    return str(row["orderId"])


def _execution(row: Row) -> str:
    return str(row["execId"])


def _closed_key(row: Row) -> tuple[str, str]:
    return str(row["orderId"]), str(row.get("updatedTime"))
