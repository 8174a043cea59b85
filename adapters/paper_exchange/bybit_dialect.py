"""Bybit v5 linear over the paper exchange: every REST request goes through `answer`.

Order of the checks, as on the venue: path, limit of the address, key, time and signature, limit of the account,
parameters, rules. Limits that a test may set (`exchange.request_limits`): "ip_5s", and "per_second" of every endpoint.
"""

from collections import deque
from typing import Final

from adapters.paper_exchange.bybit_account import Account
from adapters.paper_exchange.bybit_auth import check_request
from adapters.paper_exchange.bybit_dead_man import TOPIC, DeadManSwitch
from adapters.paper_exchange.bybit_errors import VenueError, from_refusal, said
from adapters.paper_exchange.bybit_market_data import MarketData
from adapters.paper_exchange.bybit_params import Params, as_texts, parameters
from adapters.paper_exchange.bybit_positions import Positions
from adapters.paper_exchange.bybit_routes import Endpoint, Row
from adapters.paper_exchange.bybit_streams import BybitStream, StreamHub
from adapters.paper_exchange.bybit_trading import Trading
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.orders import Event, Price
from adapters.paper_exchange.refusals import Refused
from adapters.paper_exchange.wire import Credentials, Rejection, Send, WireReply, WireRequest

_SECOND: Final = 1_000
_ADDRESS_SPAN: Final = 5_000
_ADDRESS_LIMIT: Final = 600
_TOO_OFTEN: Final = "access too frequent"


class BybitDialect:
    """REST and streams of Bybit v5."""

    def __init__(self, exchange: PaperExchange, credentials: Credentials) -> None:
        market_data = MarketData(exchange)
        self._exchange = exchange
        self._credentials = credentials
        self._hub = StreamHub(exchange, market_data, credentials)
        self._switch = DeadManSwitch()
        self._trading = Trading(exchange)
        self._routes = {
            **market_data.routes(),
            **self._trading.routes(),
            **Positions(exchange).routes(),
            **Account(exchange, credentials.key, self._switch).routes(),
        }
        self._arrivals: deque[int] = deque()
        self._calls: dict[str, deque[int]] = {}

    def answer(self, request: WireRequest, rejection: Rejection | None = None) -> WireReply:
        """Answer a request; an ordered rejection stands in for the venue's rules."""
        now = self._exchange.clock()
        endpoint = self._routes.get((request.method, request.path))
        error: VenueError | None = None
        result: Row = {}
        unreadable: VenueError | None = None
        try:
            values = parameters(request)
        except VenueError as refused:
            values, unreadable = {}, refused
        logged = self._exchange.note_request(request.method, request.path, as_texts(values))
        try:
            self._count_address(now)
            result = self._perform(request, endpoint, Params(values, now), unreadable, rejection)
        except Refused as refused:
            error = from_refusal(refused)
        except VenueError as refused:
            error = refused
        code, text, status = (0, "OK", 200) if error is None else (error.code, error.message, error.status)
        self._exchange.note_reply(logged, status, code or None)
        if status != 200:
            return WireReply(status=status, body=text)
        return WireReply(
            status=status,
            body={"retCode": code, "retMsg": text, "result": result, "retExtInfo": {}, "time": now},
            headers=self._headers(request.path, endpoint, now),
            durable=endpoint is not None and endpoint.mutates,
        )

    def connect(self, path: str, _query: str, send: Send) -> BybitStream | None:
        """A client opens a WebSocket; None refuses the path."""
        return self._hub.connect(path, send)

    def publish(self, now: int, events: list[Event]) -> None:
        """Stream what has happened, prices included."""
        self._hub.publish(now, events)

    def price(self, _now: int, _price: Price) -> None:
        """Nothing more: `publish` has streamed every point."""

    def second(self, now: int) -> None:
        """Stream what is due every second; let the dead man's switch act."""
        if self._switch.fires(now, watched=self._hub.hears(TOPIC)):
            self._trading.cancel_everything()
        self._hub.second(now)

    def _perform(
        self,
        request: WireRequest,
        endpoint: Endpoint | None,
        params: Params,
        unreadable: VenueError | None,
        rejection: Rejection | None,
    ) -> Row:
        if endpoint is None:
            raise VenueError(404, f"{request.method} {request.path}: no such endpoint", status=404)
        if endpoint.signed:
            check_request(request, self._credentials, params.now)
            self._count_call(request.path, endpoint, params.now)
        if unreadable is not None:
            raise unreadable
        if endpoint.mutates and not self._exchange.key_rights.get("trade", True):
            raise said(10005)
        if rejection is None:
            return endpoint.handler(params)
        if rejection.acted:
            endpoint.handler(params)
        ordered = said(rejection.code)
        raise VenueError(rejection.code, rejection.message or ordered.message, rejection.status or ordered.status)

    def _count_address(self, now: int) -> None:
        self._arrivals.append(now)
        while self._arrivals[0] <= now - _ADDRESS_SPAN:
            self._arrivals.popleft()
        if len(self._arrivals) > self._exchange.request_limits.get("ip_5s", _ADDRESS_LIMIT):
            raise VenueError(403, _TOO_OFTEN, status=403)

    def _count_call(self, path: str, endpoint: Endpoint, now: int) -> None:
        calls = self._calls.setdefault(path, deque())
        while calls and calls[0] <= now - _SECOND:
            calls.popleft()
        if len(calls) >= self._limit(endpoint):
            raise said(10006)
        calls.append(now)

    def _limit(self, endpoint: Endpoint) -> int:
        return self._exchange.request_limits.get("per_second", endpoint.per_second)

    def _headers(self, path: str, endpoint: Endpoint | None, now: int) -> dict[str, str]:
        headers = {"Timenow": str(now), "Traceid": f"paper{now}"}
        if endpoint is not None and endpoint.signed:
            calls = self._calls.get(path, deque())
            limit = self._limit(endpoint)
            headers |= {
                "X-Bapi-Limit": str(limit),
                "X-Bapi-Limit-Status": str(max(0, limit - len(calls))),
                "X-Bapi-Limit-Reset-Timestamp": str(calls[0] + _SECOND if calls else now),
            }
        return headers
