"""The exchange of one replayed position: an account of its own on the paper exchange's pure matching engine.

Rules of this file: everything happens at once and for certain, at the venue time (ms) that the caller gives; how long
the way there and back takes is the caller's business. What the exchange did is told as news to the owner and, when
asked for, kept as the lines of a timeline, by which the laws can be judged without believing the owner.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from actors.replay import reports
from actors.replay.times import instant
from adapters.paper_exchange import orders as engine
from adapters.paper_exchange.codec import Record, plain, to_record
from adapters.paper_exchange.contracts import Contract
from adapters.paper_exchange.engine import MatchingEngine
from adapters.paper_exchange.orders import AlgoOrder, AlgoStatus, ConditionalType, Price, WorkingType
from adapters.paper_exchange.refusals import Refused
from adapters.paper_exchange.requests import ConditionalRequest, MarketRequest, Rules
from domain.identity import OrderKind
from domain.orders import (
    Accepted,
    Answer,
    CancelOutcome,
    CancelResult,
    Fill,
    Found,
    NotFound,
    OrderIntent,
    OrderRef,
    OrderReport,
    Outcome,
    PositionReport,
    Rejected,
    Source,
    TriggerBy,
)

News = OrderReport | Fill | PositionReport
_WORKING = {TriggerBy.MARK: WorkingType.MARK_PRICE, TriggerBy.LAST: WorkingType.CONTRACT_PRICE}
_TYPES = {
    OrderKind.STOP: ConditionalType.STOP_MARKET,
    OrderKind.TAKE_PROFIT: ConditionalType.TAKE_PROFIT_MARKET,
}
_ORDER, _ALGO = "/fapi/v1/order", "/fapi/v1/algoOrder"


class Venue:
    """One account that trades one contract.

    `stops` is the stop in force from each time on (None: none), `executions` are all fills and `longest_bare_ms` is the
    longest time without full cover, all as the exchange saw it. `lines` is the timeline, None if it is not `recorded`.
    """

    def __init__(self, contract: Contract, rules: Rules, deposit: Decimal, *, recorded: bool) -> None:
        self._contract = contract
        self._engine = MatchingEngine({contract.symbol: contract}, rules)
        self._deposit = deposit
        self._bare_since: int | None = None
        self.stops: list[tuple[int, Decimal | None]] = []
        self.executions: list[engine.Fill] = []
        self.longest_bare_ms = 0
        self.lines: list[Record] | None = [] if recorded else None
        self.publish: Callable[[int, News], None] = lambda _at, _news: None

    def open(self, at: int, mark: Decimal) -> None:
        """Put the money into the account and begin with a price."""
        self._write(at, [{"kind": "session", "event": "start", "pid": 1}])
        self._commit(at, self._engine.deposit(at, self._deposit))
        self.price(at, mark)

    # Prices

    def price(self, at: int, mark: Decimal) -> None:
        """The mark (and last) price is `mark` from now on; whatever it triggers is filled at it."""
        before = self._engine.book.prices.get(self._contract.symbol)
        if before is not None and before.mark == mark:
            return
        step = 0 if before is None else before.step + 1
        price = Price(symbol=self._contract.symbol, mark=mark, last=mark, index=mark, step=step, time=at)
        self._commit(at, self._engine.price(price))

    def triggers(self) -> tuple[Decimal | None, Decimal | None]:
        """The prices at or below which, and at or above which, something would happen; None: nothing that way."""
        below = [a.trigger_price for a in self._resting() if a.triggers_at_or_below]
        above = [a.trigger_price for a in self._resting() if not a.triggers_at_or_below]
        return max(below, default=None), min(above, default=None)

    @property
    def quantity(self) -> Decimal:
        """The signed position."""
        return self._engine.book.position(self._contract.symbol).quantity

    # Requests, each at the moment of its arrival

    def place(self, intent: OrderIntent, sent: int, at: int) -> Outcome:
        """Take an order, or refuse it. `sent` is when its first byte left, ms."""
        request = self._request(at, "POST", _ORDER if intent.trigger_price is None else _ALGO, _parameters(intent))
        try:
            report = self._accept(intent, at)
        except Refused as refused:
            reason, code, text = reports.refusal(refused)
            self._reply(at, request, int(code))
            return Rejected(client_id=intent.client_id, reason=reason, code=code, text=text, sent_at=instant(sent))
        self._reply(at, request, None)
        return Accepted(
            client_id=intent.client_id,
            exchange_id=report.exchange_id,
            report=report,
            sent_at=instant(sent),
            answered_at=instant(at),
        )

    def cancel(self, ref: OrderRef, at: int) -> CancelOutcome:
        """Cancel a resting order; one that does not rest is GONE."""
        path, name = (_ALGO, "algoId") if ref.conditional else (_ORDER, "orderId")
        request = self._request(at, "DELETE", path, {"symbol": ref.symbol, name: ref.exchange_id or ""})
        found = self._found(ref)
        try:
            if isinstance(found, AlgoOrder):
                self._commit(at, self._engine.cancel_conditional(at, found.algo_id))
            else:
                self._commit(at, self._engine.cancel_order(at, 0 if found is None else found.order_id))
        except Refused as refused:
            _, code, text = reports.refusal(refused)
            self._reply(at, request, int(code))
            return CancelOutcome(ref=ref, result=CancelResult.GONE, code=code, text=text, answered_at=instant(at))
        self._reply(at, request, None)
        return CancelOutcome(ref=ref, result=CancelResult.DONE, code="", text="", answered_at=instant(at))

    def find(self, ref: OrderRef, asked: int, at: int) -> Answer:
        """What became of an order; `asked` is when the question left, ms."""
        self._request(at, "GET", _ALGO if ref.conditional else _ORDER, {"symbol": ref.symbol})
        found = self._found(ref)
        if found is None:
            return NotFound(ref=ref, asked_at=instant(asked))
        if isinstance(found, AlgoOrder):
            return Found(ref=ref, report=reports.conditional(found, Source.QUERY))
        return Found(ref=ref, report=reports.order(found, Source.QUERY))

    def position(self, at: int) -> PositionReport:
        """The position's row."""
        symbol = self._contract.symbol
        self._request(at, "GET", "/fapi/v2/positionRisk", {"symbol": symbol})
        book = self._engine.book
        return reports.position(book.position(symbol), at, Source.QUERY, book.prices[symbol].mark)

    def fills(self, since: int, at: int) -> tuple[Fill, ...]:
        """All executions since a time, ms."""
        self._request(at, "GET", "/fapi/v1/userTrades", {"symbol": self._contract.symbol})
        return tuple(reports.fill(f, Source.QUERY) for f in self.executions if f.time >= since)

    # Inside

    def _accept(self, intent: OrderIntent, at: int) -> OrderReport:
        side = engine.Side(intent.side.upper())
        if intent.trigger_price is None:
            market = MarketRequest(
                symbol=intent.symbol,
                side=side,
                quantity=intent.quantity,
                reduce_only=intent.reduce_only,
                client_order_id=intent.client_id,
            )
            events = self._engine.place_market(at, market)
            self._commit(at, events)
            return reports.order([e for e in events if isinstance(e, engine.Order)][-1], Source.REPLY)
        asked = ConditionalRequest(
            symbol=intent.symbol,
            side=side,
            type=_TYPES[intent.kind],
            trigger_price=intent.trigger_price,
            quantity=intent.quantity,
            working_type=_WORKING[intent.trigger_by],
            reduce_only=intent.reduce_only,
            client_algo_id=intent.client_id,
        )
        events = self._engine.place_conditional(at, asked)
        self._commit(at, events)
        return reports.conditional(next(e for e in events if isinstance(e, AlgoOrder)), Source.REPLY)

    def _found(self, ref: OrderRef) -> engine.Order | AlgoOrder | None:
        book = self._engine.book
        if ref.conditional:
            if ref.exchange_id is not None:
                return book.algos.get(int(ref.exchange_id))
            return book.algo_by_client_id(ref.client_id or "")
        if ref.exchange_id is not None:
            return book.orders.get(int(ref.exchange_id))
        return book.order_by_client_id(ref.symbol, ref.client_id or "")

    def _resting(self) -> list[AlgoOrder]:
        return [algo for algo in self._engine.book.open_algos.values() if algo.status is AlgoStatus.NEW]

    def _commit(self, at: int, events: list[engine.Event]) -> None:
        """Write a step down, take its measure, then tell the owner: the order after the executions that changed it."""
        if not events:
            return
        self._write(at, [to_record(event) for event in events] if self.lines is not None else [])
        self.executions += [event for event in events if isinstance(event, engine.Fill)]
        if any(isinstance(event, AlgoOrder | engine.Fill) for event in events):
            self._measure(at)
        changed: engine.Order | None = None
        for event in events:
            if isinstance(event, engine.Fill):
                self.publish(at, reports.fill(event, Source.STREAM))
            if changed is not None:
                self.publish(at, reports.order(changed, Source.STREAM))
                changed = None
            if isinstance(event, engine.Order):
                changed = event
            elif isinstance(event, AlgoOrder):
                self.publish(at, reports.conditional(event, Source.STREAM))
            elif isinstance(event, engine.Position):
                self.publish(at, reports.position(event, at, Source.STREAM, None))
        if changed is not None:
            self.publish(at, reports.order(changed, Source.STREAM))

    def _measure(self, at: int) -> None:
        """The stop in force, and how long the position has been without full cover."""
        quantity = self.quantity
        stops = [a for a in self._resting() if a.type is ConditionalType.STOP_MARKET]
        closing = [a for a in stops if a.reduce_only and a.side.sign * quantity < 0]
        ranked = sorted(a.trigger_price for a in closing)
        stop = None if not ranked else ranked[-1] if quantity > 0 else ranked[0]
        if not self.stops or self.stops[-1][1] != stop:
            self.stops.append((at, stop))
        bare = abs(quantity) > sum((a.quantity for a in closing), reports.ZERO)
        if self._bare_since is not None:
            self.longest_bare_ms = max(self.longest_bare_ms, at - self._bare_since)
        if not bare:
            self._bare_since = None
        elif self._bare_since is None:
            self._bare_since = at

    def _request(self, at: int, method: str, path: str, params: dict[str, str]) -> int:
        if self.lines is None:
            return 0
        request = len(self.lines) + 1
        self._write(at, [{"kind": "request", "id": request, "method": method, "path": path, "params": params}])
        return request

    def _reply(self, at: int, request: int, code: int | None) -> None:
        status = 200 if code is None else 400
        self._write(at, [{"kind": "reply", "request": request, "status": status, "code": code}])

    def _write(self, at: int, step: list[Record]) -> None:
        if self.lines is None:
            return
        for place, record in enumerate(step, start=1):
            line: Record = {"seq": len(self.lines) + 1, "t": at, **record}
            self.lines.append(line if place == len(step) else {**line, "more": True})


def _parameters(intent: OrderIntent) -> dict[str, str]:
    """The request as Binance's protocol has it, for the timeline."""
    common = {
        "symbol": intent.symbol,
        "side": intent.side.upper(),
        "quantity": plain(intent.quantity),
        "reduceOnly": "true" if intent.reduce_only else "false",
    }
    if intent.trigger_price is None:
        return {**common, "newClientOrderId": intent.client_id}
    kind, trigger = _TYPES[intent.kind].value, plain(intent.trigger_price)
    return {**common, "type": kind, "triggerPrice": trigger, "clientAlgoId": intent.client_id}
