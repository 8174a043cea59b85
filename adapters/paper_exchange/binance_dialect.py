"""Binance USD-M over the paper exchange: every REST request goes through `answer`.

Order of the checks, as on the venue: path, weight, key, signature and time, parameters, rules.
"""

from collections.abc import Mapping
from typing import Any, Final

from adapters.paper_exchange.binance_account import Account
from adapters.paper_exchange.binance_auth import Credentials, check_key, check_signature, parameters
from adapters.paper_exchange.binance_errors import VenueError, from_refusal
from adapters.paper_exchange.binance_market_data import WEIGHT_LIMIT, MarketData
from adapters.paper_exchange.binance_params import Params
from adapters.paper_exchange.binance_routes import Endpoint, Security
from adapters.paper_exchange.binance_streams import BinanceStream, StreamHub
from adapters.paper_exchange.binance_trading import Trading
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.orders import Event, Price
from adapters.paper_exchange.refusals import Refused
from adapters.paper_exchange.wire import Rejection, Send, WireReply, WireRequest

_MINUTE: Final = 60_000


class BinanceDialect:
    """REST and streams of Binance USD-M."""

    def __init__(self, exchange: PaperExchange, credentials: Credentials) -> None:
        market_data = MarketData(exchange)
        self._exchange = exchange
        self._credentials = credentials
        self._hub = StreamHub(exchange, market_data)
        self._routes = {
            **market_data.routes(),
            **Trading(exchange).routes(),
            **Account(exchange, credentials.key).routes(),
        }
        self._minute = 0
        self._weight = 0
        self._order_times: list[int] = []

    def answer(self, request: WireRequest, rejection: Rejection | None = None) -> WireReply:
        """Answer a request; an ordered rejection stands in for the venue's rules."""
        params = parameters(request)
        now = self._exchange.clock()
        logged = self._exchange.note_request(request.method, request.path, params)
        endpoint = self._routes.get((request.method, request.path))
        code: int | None = None
        body: Any
        status = 200
        try:
            body = self._perform(request, endpoint, params, now, rejection)
        except Refused as refused:
            error = from_refusal(refused)
            code, status, body = error.code, error.status, {"code": error.code, "msg": error.message}
        except VenueError as error:
            code, status, body = error.code, error.status, {"code": error.code, "msg": error.message}
        self._exchange.note_reply(logged, status, code)
        return WireReply(
            status=status,
            body=body,
            headers=self._limits(now, status),
            durable=endpoint is not None and endpoint.mutates,
        )

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
        """Stream what is due every second; expire listen keys."""
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
        self._weigh(endpoint.cost(typed), now)
        if endpoint.security is not Security.NONE:
            check_key(request, self._credentials)
        if endpoint.security is Security.SIGNED:
            check_signature(request, self._credentials, params, now)
        if endpoint.orders:
            self._order_times.append(now)
        if rejection is not None:
            raise VenueError(rejection.code, rejection.message)
        return endpoint.handler(typed)

    def _weigh(self, cost: int, now: int) -> None:
        if now // _MINUTE != self._minute:
            self._minute, self._weight = now // _MINUTE, 0
        self._weight += cost
        if self._weight > WEIGHT_LIMIT:
            raise VenueError(-1003, f"Too many requests; current limit is {WEIGHT_LIMIT} per minute.", status=429)

    def _limits(self, now: int, status: int) -> Mapping[str, str]:
        self._order_times = [time for time in self._order_times if time > now - _MINUTE]
        headers = {
            "X-MBX-USED-WEIGHT-1M": str(self._weight),
            "X-MBX-ORDER-COUNT-10S": str(sum(time > now - 10_000 for time in self._order_times)),
            "X-MBX-ORDER-COUNT-1M": str(len(self._order_times)),
        }
        if status == 429:
            headers["Retry-After"] = str((_MINUTE - now % _MINUTE) // 1000 + 1)
        return headers
