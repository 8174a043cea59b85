"""Trading endpoints of Binance USD-M: ordinary orders, conditional ("algo") orders, own trades."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, Final, TypeVar

from adapters.paper_exchange.binance_errors import VenueError, mandatory, not_supported, unknown_symbol
from adapters.paper_exchange.binance_params import Params
from adapters.paper_exchange.binance_routes import Endpoint, Routes, Security
from adapters.paper_exchange.binance_rows import Row, algo_row, order_row, trade_row
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.orders import (
    AlgoOrder,
    AlgoStatus,
    ConditionalType,
    Order,
    OrderType,
    PositionSide,
    Side,
    WorkingType,
)
from adapters.paper_exchange.requests import ConditionalRequest, MarketRequest

_CONDITIONAL_TYPES: Final = {"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"}
_LONGEST_SPAN: Final = 7 * 24 * 3_600_000
_Row = TypeVar("_Row")


class Trading:
    """The handlers."""

    def __init__(self, exchange: PaperExchange) -> None:
        self._exchange = exchange

    def routes(self) -> Routes:
        """The endpoints by method and path."""
        return {
            ("POST", "/fapi/v1/order"): _place(self.place_order),
            ("DELETE", "/fapi/v1/order"): _change(self.cancel_order),
            ("GET", "/fapi/v1/order"): _query(self.order),
            ("GET", "/fapi/v1/openOrder"): _query(self.open_order),
            ("GET", "/fapi/v1/openOrders"): _query(self.open_orders, without_symbol=40),
            ("GET", "/fapi/v1/allOrders"): _query(self.all_orders, weight=5),
            ("DELETE", "/fapi/v1/allOpenOrders"): _change(self.cancel_all_orders),
            ("POST", "/fapi/v1/algoOrder"): _place(self.place_algo),
            ("DELETE", "/fapi/v1/algoOrder"): _change(self.cancel_algo),
            ("GET", "/fapi/v1/algoOrder"): _query(self.algo),
            ("GET", "/fapi/v1/openAlgoOrders"): _query(self.open_algos, without_symbol=40),
            ("GET", "/fapi/v1/allAlgoOrders"): _query(self.all_algos, weight=5),
            ("DELETE", "/fapi/v1/algoOpenOrders"): _change(self.cancel_all_algos),
            ("GET", "/fapi/v1/userTrades"): _query(self.trades, weight=5),
        }

    def place_order(self, params: Params) -> Row:
        """A market order, or a limit order that is filled at once or not at all (IOC).

        Conditional types belong to the algo endpoint (VENUES A.1: -4120).
        """
        symbol, side = self._symbol(params), _side(params)
        asked_type = params.text("type")
        if asked_type in _CONDITIONAL_TYPES:
            raise VenueError(
                -4120, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."
            )
        kind = params.choice("type", OrderType, code=-1116, message="Invalid orderType.")
        limit_price = _immediate_limit(params) if kind is OrderType.LIMIT else None
        position_side = self._position_side(params, symbol, side)
        for unwanted in ("stopPrice",) if kind is OrderType.LIMIT else ("price", "timeInForce", "stopPrice"):
            if unwanted in params:
                raise VenueError(-1106, f"Parameter '{unwanted}' sent when not required.")
        asked = MarketRequest(
            symbol=symbol,
            side=side,
            quantity=params.number("quantity"),
            reduce_only=params.flag("reduceOnly"),
            client_order_id=params.client_id("newClientOrderId"),
            position_side=position_side,
            limit_price=limit_price,
        )
        reply = params.text_or("newOrderRespType", "ACK")
        if reply not in ("ACK", "RESULT"):
            raise VenueError(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
        events = self._exchange.run(lambda at: self._exchange.engine.place_market(at, asked))
        states = [event for event in events if isinstance(event, Order)]
        return order_row(states[0] if reply == "ACK" else states[-1])

    def cancel_order(self, params: Params) -> Row:
        """Cancel what is left of an order."""
        order = self._find_order(params)
        if order is None or not order.status.is_open:
            raise VenueError(-2011, "Unknown order sent.")
        self._exchange.run(lambda at: self._exchange.engine.cancel_order(at, order.order_id))
        return order_row(self._exchange.book.orders[order.order_id])

    def order(self, params: Params) -> Row:
        """One order by either id."""
        order = self._find_order(params)
        if order is None:
            raise VenueError(-2013, "Order does not exist.")
        return order_row(order)

    def open_order(self, params: Params) -> Row:
        """One order that is still open."""
        order = self._find_order(params)
        if order is None or not order.status.is_open:
            raise VenueError(-2013, "Order does not exist.")
        return order_row(order)

    def open_orders(self, params: Params) -> list[Row]:
        """Orders that are not filled yet."""
        symbol = self._symbol(params) if "symbol" in params else None
        return [
            order_row(order)
            for order in self._exchange.book.open_orders.values()
            if symbol is None or order.symbol == symbol
        ]

    def all_orders(self, params: Params) -> list[Row]:
        """Orders of a symbol, oldest first."""
        symbol = self._symbol(params)
        orders = [order for order in self._exchange.book.orders.values() if order.symbol == symbol]
        return _page(params, orders, "orderId", lambda o: o.order_id, lambda o: o.time, order_row)

    def cancel_all_orders(self, params: Params) -> Row:
        """Cancel every open order of a symbol; conditionals stay."""
        symbol = self._symbol(params)
        for order in list(self._exchange.book.open_orders.values()):
            if order.symbol == symbol:
                self._exchange.run(partial(self._exchange.engine.cancel_order, order_id=order.order_id))
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def place_algo(self, params: Params) -> Row:
        """A stop-market or take-profit-market order."""
        symbol, side = self._symbol(params), _side(params)
        if params.text("algoType") != "CONDITIONAL":
            raise VenueError(-1130, "Data sent for parameter 'algoType' is not valid.")
        asked_type = params.text("type")
        if asked_type in _CONDITIONAL_TYPES - {kind.value for kind in ConditionalType}:
            raise not_supported(f"{asked_type} orders")
        kind = params.choice("type", ConditionalType, code=-1116, message="Invalid orderType.")
        position_side = self._position_side(params, symbol, side)
        close_position = params.flag("closePosition")
        if close_position and "quantity" in params:
            raise VenueError(-4137, "Quantity must be zero with closePosition equals true.")
        if close_position and "reduceOnly" in params:
            raise VenueError(-1106, "Parameter 'reduceOnly' sent when not required.")
        asked = ConditionalRequest(
            symbol=symbol,
            side=side,
            type=kind,
            trigger_price=params.number("triggerPrice"),
            quantity=None if close_position else params.number("quantity"),
            working_type=params.choice_or(
                "workingType",
                WorkingType.CONTRACT_PRICE,
                code=-1130,
                message="Data sent for parameter 'workingType' is not valid.",
            ),
            reduce_only=params.flag("reduceOnly"),
            close_position=close_position,
            price_protect=params.flag("priceProtect"),
            client_algo_id=params.client_id("clientAlgoId"),
            position_side=position_side,
        )
        events = self._exchange.run(lambda at: self._exchange.engine.place_conditional(at, asked))
        return algo_row(next(event for event in events if isinstance(event, AlgoOrder)))

    def cancel_algo(self, params: Params) -> Row:
        """Cancel a resting conditional."""
        algo = self._find_algo(params)
        if algo is None:
            raise VenueError(-2011, "Unknown order sent.")
        self._exchange.run(lambda at: self._exchange.engine.cancel_conditional(at, algo.algo_id))
        return {"algoId": algo.algo_id, "clientAlgoId": algo.client_algo_id, "code": "200", "msg": "success"}

    def algo(self, params: Params) -> Row:
        """One conditional by either id."""
        algo = self._find_algo(params)
        if algo is None:
            raise VenueError(-2013, "Order does not exist.")
        return algo_row(algo)

    def open_algos(self, params: Params) -> list[Row]:
        """Resting conditionals."""
        symbol = self._symbol(params) if "symbol" in params else None
        return [
            algo_row(algo)
            for algo in self._exchange.book.open_algos.values()
            if symbol is None or algo.symbol == symbol
        ]

    def all_algos(self, params: Params) -> list[Row]:
        """Conditionals of a symbol, oldest first."""
        symbol = self._symbol(params)
        algos = [algo for algo in self._exchange.book.algos.values() if algo.symbol == symbol]
        return _page(params, algos, "algoId", lambda a: a.algo_id, lambda a: a.create_time, algo_row)

    def cancel_all_algos(self, params: Params) -> Row:
        """Cancel every resting conditional of a symbol."""
        symbol = self._symbol(params)
        for algo in list(self._exchange.book.open_algos.values()):
            if algo.symbol == symbol and algo.status is AlgoStatus.NEW:
                self._exchange.run(partial(self._exchange.engine.cancel_conditional, algo_id=algo.algo_id))
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def trades(self, params: Params) -> list[Row]:
        """Own executions of a symbol, oldest first."""
        symbol = self._symbol(params)
        fills = [fill for fill in self._exchange.book.fills if fill.symbol == symbol]
        if "orderId" in params:
            order_id = params.integer("orderId")
            fills = [fill for fill in fills if fill.order_id == order_id]
        return _page(params, fills, "fromId", lambda f: f.trade_id, lambda f: f.time, trade_row)

    def _symbol(self, params: Params) -> str:
        symbol = params.text("symbol")
        if symbol not in self._exchange.engine.contracts:
            raise unknown_symbol()
        return symbol

    def _position_side(self, params: Params, symbol: str, side: Side) -> PositionSide:
        """The position that is meant; hedge mode takes no reduceOnly (VENUES A.1)."""
        position_side = params.choice_or(
            "positionSide",
            PositionSide.BOTH,
            code=-1130,
            message="Data sent for parameter 'positionSide' is not valid.",
        )
        if position_side not in self._exchange.book.sides(symbol):
            raise VenueError(-4061, "Order's position side does not match user's setting.")
        if position_side is PositionSide.BOTH:
            return position_side
        if "reduceOnly" in params:
            raise VenueError(-1106, "Parameter 'reduceonly' sent when not required.")
        if params.flag("closePosition") and position_side.opened_by(side):
            raise VenueError(-4138, "Reduce only must be true with closePosition equals true.")
        return position_side

    def _find_order(self, params: Params) -> Order | None:
        symbol = self._symbol(params)
        if "orderId" in params:
            order = self._exchange.book.orders.get(params.integer("orderId"))
            return order if order is not None and order.symbol == symbol else None
        if "origClientOrderId" in params:
            return self._exchange.book.order_by_client_id(symbol, params.text("origClientOrderId"))
        raise VenueError(-1102, "Either orderId or origClientOrderId must be sent.")

    def _find_algo(self, params: Params) -> AlgoOrder | None:
        if "algoId" in params:
            return self._exchange.book.algos.get(params.integer("algoId"))
        if "clientAlgoId" in params:
            return self._exchange.book.algo_by_client_id(params.text("clientAlgoId"))
        raise VenueError(-1102, "Either algoId or clientAlgoId must be sent.")


def _place(handler: Callable[[Params], Any]) -> Endpoint:
    # Placing counts against the limits on orders and weighs nothing.
    return Endpoint(handler=handler, weight=0, security=Security.SIGNED, mutates=True, orders=1)


def _change(handler: Callable[[Params], Any]) -> Endpoint:
    return Endpoint(handler=handler, weight=1, security=Security.SIGNED, mutates=True)


def _query(handler: Callable[[Params], Any], *, weight: int = 1, without_symbol: int | None = None) -> Endpoint:
    return Endpoint(handler=handler, weight=weight, weight_without_symbol=without_symbol, security=Security.SIGNED)


def _immediate_limit(params: Params) -> Decimal:
    """The price of a limit order, which has to be one that does not rest."""
    if params.text("timeInForce") != "IOC":
        raise not_supported("LIMIT orders that rest")
    return params.number("price")


def _side(params: Params) -> Side:
    return params.choice("side", Side, code=-1117, message="Invalid side.")


def _page(
    params: Params,
    rows: list[_Row],
    from_name: str,
    identity: Callable[[_Row], int],
    time: Callable[[_Row], int],
    shown: Callable[[_Row], Row],
) -> list[Row]:
    """The page asked for: from an id on, between two times, or the newest ones."""
    limit = params.limit(500, 1_000)
    if from_name in params:
        first = params.integer(from_name)
        return [shown(row) for row in rows if identity(row) >= first][:limit]
    start, end = params.integer_or("startTime", 0), params.integer_or("endTime", 1 << 62)
    if end < start:
        raise mandatory("endTime")
    if "startTime" in params and "endTime" in params and end - start > _LONGEST_SPAN:
        raise VenueError(-4165, "Invalid time interval, maximum time interval is 7 days.")
    between = [row for row in rows if start <= time(row) <= end]
    return [shown(row) for row in (between[:limit] if "startTime" in params else between[-limit:])]
