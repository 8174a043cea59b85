"""Binance USD-M over the paper exchange: every REST request goes through `answer`.

Order of the checks, as on the venue: path, weight, key, signature and time, parameters, rules.
"""

from typing import Any

from adapters.paper_exchange.binance_account import Account
from adapters.paper_exchange.binance_auth import check_key, check_signature, parameters
from adapters.paper_exchange.binance_codes import ordered_error
from adapters.paper_exchange.binance_errors import VenueError, from_refusal
from adapters.paper_exchange.binance_limits import RequestLimits
from adapters.paper_exchange.binance_market_data import MarketData
from adapters.paper_exchange.binance_params import Params
from adapters.paper_exchange.binance_routes import Endpoint, Security
from adapters.paper_exchange.binance_settings import Settings
from adapters.paper_exchange.binance_streams import BinanceStream, StreamHub
from adapters.paper_exchange.binance_trading import Trading
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.orders import Event, Price
from adapters.paper_exchange.refusals import Refused
from adapters.paper_exchange.wire import Credentials, Rejection, Send, WireReply, WireRequest


class BinanceDialect:
    """REST and streams of Binance USD-M."""

    def __init__(self, exchange: PaperExchange, credentials: Credentials) -> None:
        self._limits = RequestLimits(exchange.request_limits)
        self._settings = Settings(exchange, self._limits)
        market_data = MarketData(exchange, self._limits)
        self._exchange = exchange
        self._credentials = credentials
        self._hub = StreamHub(exchange, market_data)
        self._routes = {
            **market_data.routes(),
            **Trading(exchange).routes(),
            **Account(exchange, credentials.key).routes(),
            **self._settings.routes(),
        }

    def answer(self, request: WireRequest, rejection: Rejection | None = None) -> WireReply:
        """Answer a request; an ordered rejection stands in for the venue's rules."""
        params = parameters(request)
        now = self._exchange.clock()
        logged = self._exchange.note_request(request.method, request.path, params)
        endpoint = self._routes.get((request.method, request.path))
        body: Any
        error: VenueError | None = None
        try:
            body = self._perform(request, endpoint, params, now, rejection)
        except Refused as refused:
            error = from_refusal(refused)
        except VenueError as refused:
            error = refused
        headers = self._limits.headers(now)
        status = 200
        if error is not None:
            status, body = error.status, {"code": error.code, "msg": error.message}
            if error.retry_after_s is not None:
                headers["Retry-After"] = str(error.retry_after_s)
        self._exchange.note_reply(logged, status, None if error is None else error.code)
        return WireReply(status=status, body=body, headers=headers, durable=endpoint is not None and endpoint.mutates)

    def connect(self, path: str, query: str, send: Send) -> BinanceStream | None:
        """A client opens a WebSocket; None refuses the path."""
        return self._hub.connect(path, query, send)

    def publish(self, now: int, events: list[Event]) -> None:
        """Stream what has happened to the account."""
        self._hub.publish(now, events)

    def price(self, now: int, price: Price) -> None:
        """Stream a price point at once."""
        self._hub.price(now, price)

    def second(self, now: int) -> None:
        """Stream what is due every second; expire listen keys; cancel what a dead-man's switch is to cancel."""
        self._settings.count_down_to(now)
        self._hub.second(now)

    def _perform(
        self,
        request: WireRequest,
        endpoint: Endpoint | None,
        params: dict[str, str],
        now: int,
        rejection: Rejection | None,
    ) -> Any:
        if endpoint is None:
            raise VenueError(-5000, f"Path {request.path}, Method {request.method} is invalid", status=404)
        typed = Params(params, now)
        self._limits.weigh(endpoint.cost(typed), now)
        if endpoint.security is not Security.NONE:
            check_key(request, self._credentials)
        if endpoint.security is Security.SIGNED:
            check_signature(request, self._credentials, params, now)
        may_trade = self._exchange.key_rights.get("trade", True)
        if endpoint.mutates and endpoint.security is Security.SIGNED and not may_trade:
            raise VenueError(-2015, "Invalid API-key, IP, or permissions for action.", status=401)
        if endpoint.orders:
            self._limits.count_order(now)
        if rejection is None:
            return endpoint.handler(typed)
        if rejection.acted:
            endpoint.handler(typed)
        raise ordered_error(rejection, now)
