"""The engine with a will of its own: conditionals, fills and the ends of positions go wrong when the plan says so."""

from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from typing import Final

from adapters.paper_exchange.contracts import Contract
from adapters.paper_exchange.engine import MatchingEngine
from adapters.paper_exchange.faults import Fault, FaultPlan, Happening, Stage
from adapters.paper_exchange.orders import AlgoOrder, ConditionalType, Event, Order, OrderStatus, Price
from adapters.paper_exchange.refusals import Reason, Refused
from adapters.paper_exchange.requests import Fate, MarketRequest

_FATES: Final = {Fault.SPOIL: Fate.REJECTED, Fault.STICK: Fate.STUCK, Fault.PART: Fate.PART}


class WilfulEngine(MatchingEngine):
    """The engine of a paper exchange with control endpoints; honest until it is given a plan."""

    _plan: FaultPlan | None = None

    def _market_of(self, symbol: str) -> tuple[Contract, Price]:
        contract, price = super()._market_of(symbol)
        if not contract.trading:
            raise Refused(Reason.HALTED, symbol)
        return contract, price

    def follow(self, plan: FaultPlan) -> None:
        """From now on let the plan decide what goes wrong."""
        self._plan = plan
        self._asked: MarketRequest | None = None
        self._held: dict[int, tuple[int, MarketRequest]] = {}
        self.fate = self._fate

    def place_market(self, now: int, asked: MarketRequest) -> list[Event]:
        """Accept a market order; it may be filled later, or only in part."""
        self._asked = asked
        try:
            return super().place_market(now, asked)
        finally:
            self._asked = None

    def _execute_now(self, now: int, order: Order, quantity: Decimal) -> Order:
        if self._plan is None or self._asked is None or order.executed_qty:
            return super()._execute_now(now, order, quantity)
        ordered = self._plan.strike(_happening(Stage.FILL, order.type, order, order.client_order_id))
        if ordered is not None and ordered.fault is Fault.HOLD_FILL:
            self._held[order.order_id] = (now + ordered.ms, self._asked)
            return order
        return super()._execute_now(now, order, quantity) if ordered is None else self._cut(now, order, ordered.share)

    def _execute(self, now: int, order: Order, quantity: Decimal) -> Order:
        if self._plan is None or order.order_id not in self._held:
            return super()._execute(now, order, quantity)
        due, asked = self._held[order.order_id]
        if now < due:
            return order
        del self._held[order.order_id]
        order = self._execute_now(now, order, quantity)
        self._attach_late(now, asked)
        return order

    def _cut(self, now: int, order: Order, share: int) -> Order:
        step = self.contracts[order.symbol].step
        part = (order.quantity * share / 100 / step).quantize(Decimal(1), ROUND_DOWN) * step
        if part:
            order = super()._execute_now(now, order, part)
        if order.status.is_open:
            order = replace(order, status=OrderStatus.EXPIRED, update_time=now)
            self._emit(order)
        return order

    def _attach_late(self, now: int, asked: MarketRequest) -> None:
        """What an entry attaches comes with its first fill, also when that was held back."""
        held = self.book.position(asked.symbol, asked.position_side)
        legs = {
            ConditionalType.STOP_MARKET: asked.stop_loss,
            ConditionalType.TAKE_PROFIT_MARKET: asked.take_profit,
        }
        for kind, leg in legs.items():
            if leg is not None and held.quantity * asked.side.sign > 0:
                self._attach(now, held, kind, leg, asked.origin)

    def _clings(self, algo: AlgoOrder) -> bool:
        if self._plan is None:
            return False
        return self._plan.strike(_happening(Stage.END, algo.type, algo, algo.client_algo_id)) is not None

    def _fate(self, algo: AlgoOrder) -> Fate:
        if self._plan is None:
            return Fate.WORKS
        ordered = self._plan.strike(_happening(Stage.TRIGGER, algo.type, algo, algo.client_algo_id))
        return Fate.WORKS if ordered is None else _FATES[ordered.fault]


def _happening(stage: Stage, name: str, order: Order | AlgoOrder, client_id: str) -> Happening:
    return Happening(
        stage=stage,
        name=name,
        values={
            "symbol": order.symbol,
            "side": order.side.value,
            "position_side": order.position_side.value,
            "client_id": client_id,
            "reduce_only": "true" if order.reduce_only else "",
        },
    )
