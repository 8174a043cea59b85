"""The exchange of a simulation: the paper exchange's matching engine, its timeline told to the oracle line by line.

Everything here happens at the exchange, at once and for certain; what is lost or late on the way there or back is the
business of `network`. Requests come in as what they ask for and go out as what Binance answers (VENUES D), an error as
its code in `VenueCode`. The wilful engine does what the engine would never do by itself: stops that stick, are rejected
at the trigger, fill in part or expire.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from adapters.paper_exchange import orders as engine
from adapters.paper_exchange.binance_errors import from_refusal
from adapters.paper_exchange.codec import plain, to_record
from adapters.paper_exchange.contracts import Contract
from adapters.paper_exchange.engine import MatchingEngine
from adapters.paper_exchange.margin import liquidation_price
from adapters.paper_exchange.orders import AlgoStatus, ConditionalType, Origin, Price, WorkingType
from adapters.paper_exchange.orders import Side as EngineSide
from adapters.paper_exchange.refusals import Refused
from adapters.paper_exchange.requests import ConditionalRequest, MarketRequest, Rules
from domain.identity import OrderKind
from domain.orders import Fill, OrderIntent, OrderRef, OrderReport, PositionReport, Source, TriggerBy
from tests.oracle.budget import Budget
from tests.oracle.court import Filters, Terms
from tests.oracle.judge import Judge
from tests.oracle.reader import parse_line
from tests.simulation import reports
from tests.simulation.faults import Fault, Faults

START_MS = 1_790_000_000_000
DEPOSIT = Decimal(100_000)
RECEIVE_WINDOW_MS = 2_000
KEPT_STATES_MS = 2_000

News = OrderReport | Fill | PositionReport
_NO_SUCH_ORDER = -2011


class VenueCode(Exception):
    """An error reply: its HTTP status and the venue's code."""

    def __init__(self, code: int, status: int = 400) -> None:
        super().__init__(f"{status} {code}")
        self.code = code
        self.status = status


class WilfulEngine(MatchingEngine):
    """The engine, with the mischief of a venue whose triggers do not always work."""

    def __init__(self, contracts: dict[str, Contract], rules: Rules, faults: Faults) -> None:
        super().__init__(contracts, rules)
        self._faults = faults
        self.stuck: list[engine.AlgoOrder] = []

    def expire(self, now: int, algo: engine.AlgoOrder) -> list[engine.Event]:
        """The venue takes a resting conditional off its book."""
        self._emit(replace(algo, status=AlgoStatus.EXPIRED, update_time=now))
        return self._taken()

    def release(self, now: int, algo: engine.AlgoOrder) -> list[engine.Event]:
        """A conditional that was stuck comes to its end after all."""
        self.stuck.remove(algo)
        if algo.algo_id in self.book.open_algos:
            super()._trigger(now, algo)
        return self._taken()

    def _trigger(self, now: int, algo: engine.AlgoOrder) -> None:
        if self._faults.strikes(Fault.STOP_STUCK, algo.symbol):
            begun = replace(algo, status=AlgoStatus.TRIGGERING, trigger_time=now, update_time=now)
            self._emit(begun)
            self.stuck.append(begun)
        elif self._faults.strikes(Fault.STOP_REJECTED, algo.symbol):
            self._emit(replace(algo, status=AlgoStatus.TRIGGERING, trigger_time=now, update_time=now))
            self._emit(replace(algo, status=AlgoStatus.REJECTED, reject_reason="margin", update_time=now))
        else:
            super()._trigger(now, algo)

    def _execute_whole(self, now: int, order: engine.Order) -> engine.Order:
        step = self.contracts[order.symbol].step
        if order.origin is Origin.ALGO and order.quantity > step and self._faults.strikes(
            Fault.STOP_PART, order.symbol
        ):  # fmt: skip
            order = self._execute(now, order, step)
            if order.status.is_open:
                order = replace(order, status=engine.OrderStatus.EXPIRED, update_time=now)
                self._emit(order)
            return order
        return super()._execute_whole(now, order)


class SimulatedExchange:
    """One account. `clock` gives venue ms; `publish` is told of all news, `marks` of prices, in the order made."""

    def __init__(self, contracts: dict[str, Contract], seed: int, faults: Faults, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.faults = faults
        self.engine = WilfulEngine(contracts, Rules(seed=seed, partial_fills=faults.share(Fault.PART_FILL)), faults)
        filters = {c.symbol: Filters(tick=c.tick, step=c.step) for c in contracts.values()}
        self.judge = Judge(Terms(filters=filters))
        self.accepted: Callable[[str], object] = lambda _client_id: None
        self.publish: Callable[[News], object] = lambda _news: None
        self.marks: Callable[[Price], object] = lambda _price: None
        self.tell: Callable[[str], object] | None = None
        self.candles: dict[str, list[list[Any]]] = {symbol: [] for symbol in contracts}
        self.readings: list[tuple[int, int]] = []
        """When the whole account was asked for, and what the requests of the minute before it weighed."""
        self._digest = hashlib.blake2b(digest_size=16)
        self._seq = 0
        self._past: dict[str, list[tuple[int, engine.Position]]] = {symbol: [] for symbol in contracts}
        self._write([{"kind": "session", "event": "start", "pid": 1}])
        self.commit(self.engine.deposit(self.clock(), DEPOSIT))

    @property
    def digest(self) -> str:
        """Stands for every line written so far."""
        return self._digest.hexdigest()

    # Requests, each at the moment it arrives.

    def place(self, intent: OrderIntent) -> OrderReport:
        """POST /order or /algoOrder. Raises VenueCode."""
        common = {
            "symbol": intent.symbol,
            "side": intent.side.upper(),
            "quantity": plain(intent.quantity),
            "reduceOnly": "true" if intent.reduce_only else "false",
        }
        if intent.trigger_price is None:
            limited = {} if intent.limit_price is None else {"type": "LIMIT", "price": plain(intent.limit_price)}
            named = {**common, **limited, "newClientOrderId": intent.client_id}
            request = self._note("POST", "/fapi/v1/order", named)
            self._refuse_duplicate(request, self.engine.book.order_by_client_id(intent.symbol, intent.client_id))
            asked = MarketRequest(
                symbol=intent.symbol,
                side=EngineSide(intent.side.upper()),
                quantity=intent.quantity,
                reduce_only=intent.reduce_only,
                client_order_id=intent.client_id,
                limit_price=intent.limit_price,
            )
            events = self._do(request, lambda now: self.engine.place_market(now, asked))
            self.accepted(intent.client_id)
            last = [event for event in events if isinstance(event, engine.Order)][-1]
            return reports.order(last, Source.REPLY)
        target = intent.kind is OrderKind.TAKE_PROFIT
        kind = ConditionalType.TAKE_PROFIT_MARKET if target else ConditionalType.STOP_MARKET
        working = WorkingType.MARK_PRICE if intent.trigger_by is TriggerBy.MARK else WorkingType.CONTRACT_PRICE
        special = {"type": kind.value, "triggerPrice": plain(intent.trigger_price), "clientAlgoId": intent.client_id}
        if intent.close_position:
            common = {"symbol": intent.symbol, "side": intent.side.upper(), "closePosition": "true"}
        request = self._note("POST", "/fapi/v1/algoOrder", {**common, **special})
        self._refuse_duplicate(request, self.engine.book.algo_by_client_id(intent.client_id))
        wanted = ConditionalRequest(
            symbol=intent.symbol,
            side=EngineSide(intent.side.upper()),
            type=kind,
            trigger_price=intent.trigger_price,
            quantity=None if intent.close_position else intent.quantity,
            working_type=working,
            reduce_only=intent.reduce_only and not intent.close_position,
            close_position=intent.close_position,
            client_algo_id=intent.client_id,
        )
        events = self._do(request, lambda now: self.engine.place_conditional(now, wanted))
        self.accepted(intent.client_id)
        return reports.conditional(next(e for e in events if isinstance(e, engine.AlgoOrder)), Source.REPLY)

    def refuse(self, intent: OrderIntent, code: int, status: int = 400) -> VenueCode:
        """The request arrives and is refused for a reason that is the venue's own."""
        path = "/fapi/v1/order" if intent.trigger_price is None else "/fapi/v1/algoOrder"
        params = {"symbol": intent.symbol, "side": intent.side.upper(), "quantity": plain(intent.quantity)}
        if intent.trigger_price is not None:
            params |= {"type": "STOP_MARKET", "triggerPrice": plain(intent.trigger_price)}
        self._answer(self._note("POST", path, params), status, code)
        return VenueCode(code, status)

    def cancel(self, ref: OrderRef) -> None:
        """DELETE /algoOrder or /order. Raises VenueCode."""
        path = "/fapi/v1/algoOrder" if ref.conditional else "/fapi/v1/order"
        params = {"symbol": ref.symbol, ("algoId" if ref.conditional else "orderId"): ref.exchange_id or ""}
        if ref.exchange_id is None:
            params[("clientAlgoId" if ref.conditional else "origClientOrderId")] = ref.client_id or ""
        request = self._note("DELETE", path, params)
        found = self._find(ref)
        if found is None:
            self._answer(request, 400, _NO_SUCH_ORDER)
            raise VenueCode(_NO_SUCH_ORDER)
        if isinstance(found, engine.AlgoOrder):
            self._do(request, lambda now: self.engine.cancel_conditional(now, found.algo_id))
        else:
            self._do(request, lambda now: self.engine.cancel_order(now, found.order_id))

    def find(self, ref: OrderRef) -> OrderReport:
        """GET /algoOrder or /order. Raises VenueCode."""
        self._question("/fapi/v1/algoOrder" if ref.conditional else "/fapi/v1/order", {"symbol": ref.symbol})
        found = self._find(ref)
        if found is None:
            raise VenueCode(-2013)
        if isinstance(found, engine.AlgoOrder):
            return reports.conditional(found, Source.QUERY)
        return reports.order(found, Source.QUERY)

    def positions(self, at_ms: int, lag_ms: int = 0) -> tuple[PositionReport, ...]:
        """GET /v2/positionRisk, as it was `lag_ms` ago."""
        self.readings.append((self.clock(), self.weight_of_last_minute()))
        self._question("/fapi/v2/positionRisk", {})
        return tuple(self._position(symbol, at_ms, lag_ms, Source.SNAPSHOT) for symbol in self.engine.contracts)

    def position(self, symbol: str, at_ms: int, lag_ms: int = 0) -> PositionReport:
        """GET /v2/positionRisk of one symbol."""
        self._question("/fapi/v2/positionRisk", {"symbol": symbol})
        return self._position(symbol, at_ms, lag_ms, Source.QUERY)

    def open_orders(self, *, conditional: bool, of: str | None = None) -> tuple[OrderReport, ...]:
        """GET /openOrders or /openAlgoOrders, of all symbols or of one."""
        asked = {} if of is None else {"symbol": of}
        self._question("/fapi/v1/openAlgoOrders" if conditional else "/fapi/v1/openOrders", asked)
        book = self.engine.book
        if conditional:
            algos = (algo for algo in book.open_algos.values() if of in (None, algo.symbol))
            return tuple(reports.conditional(algo, Source.SNAPSHOT) for algo in algos)
        orders = (order for order in book.open_orders.values() if of in (None, order.symbol))
        return tuple(reports.order(order, Source.SNAPSHOT) for order in orders)

    def fills(self, symbol: str, since_ms: int) -> tuple[Fill, ...]:
        """GET /userTrades."""
        self._question("/fapi/v1/userTrades", {"symbol": symbol})
        book = self.engine.book
        return tuple(
            reports.fill(fill, from_stream=False) for fill in book.fills if fill.symbol == symbol
            and fill.time >= since_ms
        )  # fmt: skip

    def money(self) -> tuple[Decimal, Decimal, Decimal]:
        """GET /account: wallet, margin balance, what is free."""
        self._question("/fapi/v3/account", {})
        book = self.engine.book
        return book.wallet, book.margin_balance(), book.available()

    def best_prices(self, symbol: str) -> tuple[Decimal, Decimal]:
        """GET /ticker/bookTicker."""
        self._question("/fapi/v1/ticker/bookTicker", {"symbol": symbol})
        return self.engine.fill_price(symbol, EngineSide.SELL), self.engine.fill_price(symbol, EngineSide.BUY)

    def marks_since(self, symbol: str, since_ms: int) -> tuple[tuple[int, Decimal, Decimal, Decimal, Decimal], ...]:
        """GET /markPriceKlines: (opened at, open, high, low, close) of each minute from that of `since_ms` on."""
        self._question("/fapi/v1/markPriceKlines", {"symbol": symbol})
        first = since_ms - since_ms % 60_000
        return tuple((c[0], c[1], c[2], c[3], c[4]) for c in self.candles[symbol] if c[0] >= first)

    # What others do.

    def price(self, symbol: str, mark: Decimal) -> None:
        """A new mark price."""
        now, before = self.clock(), self.engine.book.prices.get(symbol)
        mark = self.engine.contracts[symbol].on_tick(mark)
        step = 0 if before is None else before.step + 1
        price = Price(symbol=symbol, mark=mark, last=mark, index=mark, step=step, time=now)
        minute, candles = now - now % 60_000, self.candles[symbol]
        if not candles or candles[-1][0] != minute:
            candles.append([minute, mark, mark, mark, mark])
        candle = candles[-1]
        candle[2], candle[3], candle[4] = max(candle[2], mark), min(candle[3], mark), mark
        self.commit(self.engine.price(price))
        self.marks(price)

    def work(self) -> None:
        """What is left of orders filled in part goes on."""
        self.commit(self.engine.work(self.clock()))

    def human(self, symbol: str, side: EngineSide, quantity: Decimal) -> bool:
        """A human's market order; False if the venue refuses it."""
        asked = MarketRequest(symbol=symbol, side=side, quantity=quantity, origin=Origin.HUMAN)
        try:
            self.commit(self.engine.place_market(self.clock(), asked))
        except Refused:
            return False
        return True

    def human_cancel(self, algo: engine.AlgoOrder) -> None:
        """A human cancels a conditional."""
        self.commit(self.engine.cancel_conditional(self.clock(), algo.algo_id))

    def expire(self, algo: engine.AlgoOrder) -> None:
        """The venue takes a conditional off its book."""
        self.commit(self.engine.expire(self.clock(), algo))

    def release_stuck(self) -> None:
        """Whatever was stuck in TRIGGERING comes to its end."""
        for algo in list(self.engine.stuck):
            self.commit(self.engine.release(self.clock(), algo))

    def weight_of_last_minute(self) -> int:
        """What our requests weighed, as the oracle's law of the budget counts them."""
        (law,) = (law for law in self.judge._laws if isinstance(law, Budget))
        return sum(weight for at, weight in law._weights if at > self.clock() - 60_000)

    def quantity(self, symbol: str) -> Decimal:
        """The signed position."""
        return self.engine.book.position(symbol).quantity

    def resting(self, symbol: str) -> list[engine.AlgoOrder]:
        """Conditionals that rest."""
        algos = self.engine.book.open_algos.values()
        return [algo for algo in algos if algo.symbol == symbol and algo.status is AlgoStatus.NEW]

    # Inside.

    def _do(self, request: int, operation: Callable[[int], list[engine.Event]]) -> list[engine.Event]:
        try:
            events = operation(self.clock())
        except Refused as refused:
            error = from_refusal(refused)
            self._answer(request, error.status, error.code)
            raise VenueCode(error.code, error.status) from refused
        self.commit(events)
        self._answer(request, 200, None)
        return events

    def _refuse_duplicate(self, request: int, known: object) -> None:
        if known is not None:
            self._answer(request, 400, -4116)
            raise VenueCode(-4116)

    def _find(self, ref: OrderRef) -> engine.Order | engine.AlgoOrder | None:
        book = self.engine.book
        if ref.conditional:
            if ref.exchange_id is not None:
                return book.algos.get(int(ref.exchange_id))
            return book.algo_by_client_id(ref.client_id or "")
        if ref.exchange_id is not None:
            return book.orders.get(int(ref.exchange_id))
        return book.order_by_client_id(ref.symbol, ref.client_id or "")

    def _position(self, symbol: str, at_ms: int, lag_ms: int, source: Source) -> PositionReport:
        book = self.engine.book
        state = book.position(symbol)
        if lag_ms:
            seen_at = self.clock() - lag_ms
            older = [kept for changed_at, kept in self._past[symbol] if changed_at <= seen_at]
            never = engine.Position(
                symbol=symbol, position_side=state.position_side, quantity=reports.ZERO, entry_price=reports.ZERO,
                update_time=0,
            )  # fmt: skip
            state = older[-1] if older else (never if self._past[symbol] else state)
        mark = book.prices[symbol].mark if symbol in book.prices else None
        liquidation = liquidation_price(book, self.engine.contracts, book.position(symbol))
        return reports.position(state, at_ms, source, mark, liquidation)

    def commit(self, events: list[engine.Event]) -> None:
        """Write a step of the engine, let the oracle judge it, then tell the listeners."""
        if not events:
            return
        self._write([to_record(event) for event in events])
        held: engine.Order | None = None
        for event in events:
            if isinstance(event, engine.Fill):
                self.publish(reports.fill(event, from_stream=True))
            if held is not None:
                self.publish(reports.order(held, Source.STREAM))
                held = None
            if isinstance(event, engine.Order):
                if event.status is engine.OrderStatus.PARTIALLY_FILLED and event.origin is Origin.API:
                    self.faults.count(Fault.PART_FILL, event.symbol)
                held = event  # the venue tells of an execution together with the order that it changed
            elif isinstance(event, engine.AlgoOrder):
                self.publish(reports.conditional(event, Source.STREAM))
            elif isinstance(event, engine.Position):
                self._past[event.symbol].append((self.clock(), event))
                self.publish(reports.position(event, self.clock(), Source.STREAM, None, None))
        if held is not None:
            self.publish(reports.order(held, Source.STREAM))

    def _note(self, method: str, path: str, params: dict[str, str]) -> int:
        request = self._seq + 1
        self._write([{"kind": "request", "id": request, "method": method, "path": path, "params": params}])
        return request

    def _answer(self, request: int, status: int, code: int | None) -> None:
        self._write([{"kind": "reply", "request": request, "status": status, "code": code}])

    def _question(self, path: str, params: dict[str, str]) -> None:
        self._note("GET", path, params)

    def _write(self, records: list[dict[str, Any]]) -> None:
        now = self.clock()
        for place, record in enumerate(records, start=1):
            self._seq += 1
            line = {"seq": self._seq, "t": now, **record}
            if place < len(records):
                line["more"] = True
            self._digest.update(repr(line).encode())
            if self.tell is not None and record["kind"] != "balance":
                self.tell(_shown(record))
            self.judge.hear(parse_line(line))


_TOLD = {
    "request": ("method", "path", "params"),
    "reply": ("status", "code"),
    "order": ("symbol", "clientOrderId", "side", "quantity", "status", "executedQty", "origin"),
    "algo": ("symbol", "clientAlgoId", "side", "quantity", "triggerPrice", "status", "origin"),
    "fill": ("symbol", "clientOrderId", "side", "quantity", "price"),
    "position": ("symbol", "quantity"),
    "price": ("symbol", "mark"),
}


def _shown(record: dict[str, Any]) -> str:
    words = [str(record[name]) for name in _TOLD.get(record["kind"], ()) if record.get(name) is not None]
    return f"exchange {record['kind']:8} {' '.join(words)}"


