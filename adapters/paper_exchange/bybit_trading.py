"""Order endpoints of Bybit v5: create, amend, cancel, open orders, history, executions.

A reply acknowledges an order and says no more than its ids; what became of it is on the streams and in the queries.
"""

from collections.abc import Iterable
from decimal import Decimal
from functools import partial
from typing import Final

from adapters.paper_exchange.bybit_errors import PARAMETER, VenueError, not_offered, said
from adapters.paper_exchange.bybit_ids import (
    by_id,
    by_link,
    conditional_id,
    link_of_conditional,
    link_of_order,
    order_id,
)
from adapters.paper_exchange.bybit_params import Params
from adapters.paper_exchange.bybit_routes import Endpoint, Routes, Row, page_after
from adapters.paper_exchange.bybit_rows import closed_row, conditional_row, execution_kind, execution_row, order_row
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.orders import (
    ZERO,
    AlgoOrder,
    AlgoStatus,
    ConditionalType,
    Fill,
    Order,
    Side,
    WorkingType,
)
from adapters.paper_exchange.refusals import Reason, Refused
from adapters.paper_exchange.requests import Amendment, Attachment, ConditionalRequest, MarketRequest

_SIDES: Final = {"Buy": Side.BUY, "Sell": Side.SELL}
_RISES: Final = 1
RECENTLY: Final = 500


class Trading:
    """The handlers."""

    def __init__(self, exchange: PaperExchange) -> None:
        self._exchange = exchange

    def routes(self) -> Routes:
        """The endpoints by method and path."""
        return {
            ("POST", "/v5/order/create"): Endpoint(handler=self.create, per_second=20, mutates=True),
            ("POST", "/v5/order/amend"): Endpoint(handler=self.amend, per_second=20, mutates=True),
            ("POST", "/v5/order/cancel"): Endpoint(handler=self.cancel, per_second=20, mutates=True),
            ("POST", "/v5/order/cancel-all"): Endpoint(handler=self.cancel_all, per_second=20, mutates=True),
            ("GET", "/v5/order/realtime"): Endpoint(handler=self.open_orders, per_second=50),
            ("GET", "/v5/order/history"): Endpoint(handler=self.history, per_second=50),
            ("GET", "/v5/execution/list"): Endpoint(handler=self.executions, per_second=50),
            ("GET", "/v5/position/closed-pnl"): Endpoint(handler=self.closed_profits, per_second=50),
        }

    def cancel_everything(self) -> None:
        """Cancel all that rests, as a dead man's switch does."""
        for found in self._open(None, ""):
            self._cancelled(found)

    def create(self, params: Params) -> Row:
        """A market order, a limit order that does not rest (IOC), or a conditional one that becomes a market order.

        Each may carry a client id once.
        """
        params.category()
        symbol = params.symbol(self._exchange.engine.contracts)
        side = _SIDES[params.choice("side", tuple(_SIDES))]
        limited = params.choice("orderType", ("Market", "Limit")) == "Limit"
        if limited and (params.text_or("timeInForce", "GTC") != "IOC" or "triggerPrice" in params):
            raise not_offered("limit orders that rest")
        link = params.link_id()
        if link and by_link(self._exchange.book, link) is not None:
            raise said(110072)
        quantity = params.number("qty")
        if "triggerPrice" in params:
            return self._create_conditional(params, symbol, side, quantity, link)
        position_side = params.position_side()
        reduce_only = params.flag("reduceOnly")
        if not quantity and reduce_only and params.flag("closeOnTrigger"):
            # Quantity 0 closes all there is.
            quantity = self._exchange.book.reducible(symbol, side, position_side)
            if not quantity:
                raise said(110017)
        stop_loss, take_profit = attachment(params, "stopLoss", "sl"), attachment(params, "takeProfit", "tp")
        if reduce_only and (stop_loss or take_profit):
            raise VenueError(PARAMETER, "Reduce-only orders can not set take profit or stop loss")
        asked = MarketRequest(
            symbol=symbol,
            side=side,
            quantity=quantity,
            reduce_only=reduce_only,
            client_order_id=link,
            position_side=position_side,
            stop_loss=stop_loss,
            take_profit=take_profit,
            limit_price=params.number("price") if limited else None,
        )
        events = self._exchange.run(lambda at: self._exchange.engine.place_market(at, asked))
        order = next(event for event in events if isinstance(event, Order))
        return {"orderId": order_id(order), "orderLinkId": link}

    def amend(self, params: Params) -> Row:
        """Change trigger, trigger price source or quantity of a resting conditional in place."""
        algo = self._named(params, "order not exists or too late to replace")
        if not isinstance(algo, AlgoOrder) or algo.status is not AlgoStatus.NEW:
            raise VenueError(110001, "order not exists or too late to replace")
        asked = Amendment(
            trigger_price=params.number("triggerPrice") if "triggerPrice" in params else None,
            quantity=params.number("qty") if "qty" in params else None,
            working_type=working_type(params, "triggerBy") if "triggerBy" in params else None,
        )
        try:
            self._exchange.run(lambda at: self._exchange.engine.amend_conditional(at, algo.algo_id, asked))
        except Refused as refused:
            if refused.reason is not Reason.NOT_MODIFIED:
                raise
            raise VenueError(
                PARAMETER, "The order remains unchanged as the parameters entered match the existing ones."
            ) from refused
        return {"orderId": conditional_id(algo.algo_id), "orderLinkId": link_of_conditional(algo)}

    def cancel(self, params: Params) -> Row:
        """Cancel an order of either kind, an attached stop too."""
        found = self._named(params, "order not exists or too late to cancel")
        return self._cancelled(found)

    def cancel_all(self, params: Params) -> Row:
        """Cancel what rests on a symbol or with a settlement coin; `orderFilter` narrows it."""
        params.category()
        symbol = self._symbol_or_coin(params)
        kind = params.text_or("orderFilter")
        gone = [self._cancelled(found) for found in self._open(symbol, kind)]
        return {"list": gone, "success": "1"}

    def open_orders(self, params: Params) -> Row:
        """What is open, newest first; by an id also what ended recently."""
        params.category()
        book = self._exchange.book
        if "orderId" in params or "orderLinkId" in params:
            found = self._found(params)
            rows = [] if found is None else [self._row(found)]
            return {"category": "linear", "nextPageCursor": "", "list": rows}
        symbol = self._symbol_or_coin(params)
        if params.integer_or("openOnly", 0) == 1:
            items = self._finished(symbol)[-RECENTLY:]
        else:
            items = self._open(symbol, params.text_or("orderFilter"))
        page, cursor = page_after(params, items, _age, default=20, largest=50)
        rows = [conditional_row(book, i) if isinstance(i, AlgoOrder) else order_row(book, i) for i in page]
        return {"category": "linear", "nextPageCursor": cursor, "list": rows}

    def history(self, params: Params) -> Row:
        """What is over, newest first."""
        params.category()
        if "orderId" in params or "orderLinkId" in params:
            found = self._found(params)
            items = [] if found is None or self._is_open(found) else [found]
        else:
            symbol = params.symbol(self._exchange.engine.contracts) if "symbol" in params else None
            items = self._finished(symbol)
        status = params.text_or("orderStatus")
        first, last = params.integer_or("startTime", 0), params.integer_or("endTime", 1 << 62)
        items = [
            item
            for item in items
            if (not status or self._row(item)["orderStatus"] == status) and first <= _made_at(item) <= last
        ]
        page, cursor = page_after(params, items, _age, default=20, largest=50)
        return {"category": "linear", "nextPageCursor": cursor, "list": [self._row(item) for item in page]}

    def executions(self, params: Params) -> Row:
        """Own executions, newest first."""
        params.category()
        book = self._exchange.book
        fills: Iterable[Fill] = book.fills
        if "execType" in params:
            kind = params.text("execType")
            fills = [fill for fill in fills if execution_kind(book, fill) == kind]
        if "symbol" in params:
            symbol = params.symbol(self._exchange.engine.contracts)
            fills = [fill for fill in fills if fill.symbol == symbol]
        if "orderId" in params or "orderLinkId" in params:
            found = self._found(params)
            wanted = found.actual_order_id if isinstance(found, AlgoOrder) else found.order_id if found else None
            fills = [fill for fill in fills if fill.order_id == wanted]
        first, last = params.integer_or("startTime", 0), params.integer_or("endTime", 1 << 62)
        chosen = [fill for fill in fills if first <= fill.time <= last]
        page, cursor = page_after(params, chosen, lambda fill: fill.trade_id, default=50, largest=100)
        rows = [execution_row(book, fill) for fill in page]
        return {"category": "linear", "nextPageCursor": cursor, "list": rows}

    def closed_profits(self, params: Params) -> Row:
        """What each closing order brought, newest first."""
        params.category()
        book = self._exchange.book
        symbol = params.symbol(self._exchange.engine.contracts) if "symbol" in params else None
        closing: dict[int, list[Fill]] = {}
        for fill in book.fills:
            if fill.closed and symbol in (None, fill.symbol) and fill.order_id in book.orders:
                closing.setdefault(fill.order_id, []).append(fill)
        first, last = params.integer_or("startTime", 0), params.integer_or("endTime", 1 << 62)
        orders = [order for order in map(book.orders.__getitem__, closing) if first <= order.update_time <= last]
        page, cursor = page_after(params, orders, lambda order: order.order_id, default=50, largest=100)
        rows = [closed_row(book, order, closing[order.order_id]) for order in page]
        return {"category": "linear", "nextPageCursor": cursor, "list": rows}

    # Inside

    def _create_conditional(self, params: Params, symbol: str, side: Side, quantity: Decimal, link: str) -> Row:
        if "stopLoss" in params or "takeProfit" in params:
            raise not_offered("attached legs on conditional orders")
        direction = params.integer_or("triggerDirection", 0)
        if direction not in (1, 2):
            raise VenueError(PARAMETER, "TriggerDirection invalid")
        # A buy that waits for a rise and a sell that waits for a fall are stops; the others take profits.
        stop = (side is Side.BUY) == (direction == _RISES)
        whole = not quantity and params.flag("reduceOnly") and params.flag("closeOnTrigger")
        asked = ConditionalRequest(
            symbol=symbol,
            side=side,
            type=ConditionalType.STOP_MARKET if stop else ConditionalType.TAKE_PROFIT_MARKET,
            trigger_price=params.number("triggerPrice"),
            quantity=None if whole else quantity,
            working_type=working_type(params, "triggerBy"),
            reduce_only=params.flag("reduceOnly") or params.flag("closeOnTrigger"),
            close_position=whole,
            client_algo_id=link,
            position_side=params.position_side(),
        )
        events = self._exchange.run(lambda at: self._exchange.engine.place_conditional(at, asked))
        algo = next(event for event in events if isinstance(event, AlgoOrder))
        return {"orderId": conditional_id(algo.algo_id), "orderLinkId": link}

    def _named(self, params: Params, text: str) -> Order | AlgoOrder:
        params.category()
        params.symbol(self._exchange.engine.contracts)
        if "orderId" not in params and "orderLinkId" not in params:
            raise VenueError(PARAMETER, "params error: OrderID and OrderLinkID both are empty")
        found = self._found(params)
        if found is None:
            raise VenueError(110001, text)
        return found

    def _found(self, params: Params) -> Order | AlgoOrder | None:
        book = self._exchange.book
        if "orderId" in params:
            found = by_id(book, params.text("orderId"))
        else:
            found = by_link(book, params.text("orderLinkId"))
        if found is not None and "symbol" in params and found.symbol != params.text("symbol"):
            return None
        return found

    def _cancelled(self, found: Order | AlgoOrder) -> Row:
        engine, book = self._exchange.engine, self._exchange.book
        if isinstance(found, Order):
            self._exchange.run(partial(engine.cancel_order, order_id=found.order_id))
            return {"orderId": order_id(found), "orderLinkId": link_of_order(book, found)}
        self._exchange.run(partial(engine.cancel_conditional, algo_id=found.algo_id))
        return {"orderId": conditional_id(found.algo_id), "orderLinkId": link_of_conditional(found)}

    def _symbol_or_coin(self, params: Params) -> str | None:
        """The symbol that is meant, None for all of the settlement or base coin's."""
        if "symbol" in params:
            return params.symbol(self._exchange.engine.contracts)
        if "settleCoin" not in params and "baseCoin" not in params:
            raise VenueError(PARAMETER, "Missing some parameters that must be filled in, symbol or settleCoin")
        return None

    def _open(self, symbol: str | None, kind: str) -> list[Order | AlgoOrder]:
        """Open orders of a symbol; `kind` is an orderFilter: Order, StopOrder, tpslOrder or "" for all."""
        book = self._exchange.book
        items: list[Order | AlgoOrder] = []
        if kind in ("", "Order"):
            items += book.open_orders.values()
        if kind in ("", "StopOrder", "tpslOrder"):
            items += (algo for algo in book.open_algos.values() if algo.actual_order_id is None)
        return [item for item in items if symbol in (None, item.symbol)]

    def _finished(self, symbol: str | None) -> list[Order | AlgoOrder]:
        """What is over, oldest first; a conditional that made an order is that order."""
        book = self._exchange.book
        orders = [order for order in book.orders.values() if not order.status.is_open]
        algos = [
            algo for algo in book.algos.values() if algo.actual_order_id is None and algo.algo_id not in book.open_algos
        ]
        items: list[Order | AlgoOrder] = [*orders, *algos]
        return sorted((item for item in items if symbol in (None, item.symbol)), key=_age)

    def _is_open(self, found: Order | AlgoOrder) -> bool:
        if isinstance(found, Order):
            return found.status.is_open
        return found.algo_id in self._exchange.book.open_algos

    def _row(self, found: Order | AlgoOrder) -> Row:
        book = self._exchange.book
        return conditional_row(book, found) if isinstance(found, AlgoOrder) else order_row(book, found)


def attachment(params: Params, name: str, leg: str) -> Attachment | None:
    """What `stopLoss` or `takeProfit` is to stand at; "" and "0" are none. `leg` begins the leg's other names."""
    if name not in params or params.number(name) == ZERO:
        return None
    if params.text_or(f"{leg}OrderType", "Market") != "Market":
        raise not_offered("limit take-profits and stop-losses")
    partial_mode = params.choice("tpslMode", ("Full", "Partial"), "Full") == "Partial"
    size = "qty" if "qty" in params and f"{leg}Size" not in params else f"{leg}Size"
    return Attachment(
        trigger_price=params.number(name),
        working_type=working_type(params, f"{leg}TriggerBy"),
        quantity=params.number(size) if partial_mode else None,
    )


def working_type(params: Params, name: str) -> WorkingType:
    """Which price triggers; the last price unless another is named."""
    word = params.choice(name, ("LastPrice", "MarkPrice", "IndexPrice"), "LastPrice")
    if word == "IndexPrice":
        raise not_offered("index price triggers")
    return WorkingType.MARK_PRICE if word == "MarkPrice" else WorkingType.CONTRACT_PRICE


def _made_at(item: Order | AlgoOrder) -> int:
    return item.create_time if isinstance(item, AlgoOrder) else item.time


def _age(item: Order | AlgoOrder) -> int:
    """Orders by the time they were made, then by number, in one whole number."""
    return _made_at(item) * 10**11 + (item.algo_id if isinstance(item, AlgoOrder) else item.order_id)
