"""What the matching engine does by itself: fills, triggers, attached stops, liquidation.

Pure: no clock, socket, thread or file. Fees and profits are rounded to 8 decimals when they arise, so the wallet is the
exact sum of what was reported. Attached conditionals go in the step in which their position is flat or has turned.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Final

from adapters.paper_exchange.book import Book
from adapters.paper_exchange.contracts import Contract
from adapters.paper_exchange.executions import fill_price, parts
from adapters.paper_exchange.margin import account_maintenance, margin_needed, money, settle
from adapters.paper_exchange.orders import (
    ASSET,
    ZERO,
    AlgoOrder,
    AlgoStatus,
    Balance,
    ConditionalType,
    Event,
    Fill,
    Insurance,
    Order,
    OrderStatus,
    OrderType,
    Origin,
    Position,
    PositionSide,
    Price,
    Side,
    WorkingType,
)
from adapters.paper_exchange.refusals import Reason, Refused
from adapters.paper_exchange.requests import Attachment, Fate, Rules

_FIRST_ALGO_ID: Final = 2_000_000_001
_MADE_BY: Final = {Origin.ALGO: "venue_child_", Origin.LIQUIDATION: "autoclose-", Origin.DELEVERAGE: "adl_autoclose"}


class Matching:
    """The book and what moves it. `fate` decides what becomes of a conditional at its trigger."""

    def __init__(self, contracts: dict[str, Contract], rules: Rules, book: Book | None = None) -> None:
        self.contracts = contracts
        self.rules = rules
        self.book = book if book is not None else Book()
        self.fate: Callable[[AlgoOrder], Fate] = lambda _algo: Fate.WORKS
        self._changes: list[Event] = []

    def fill_price(self, symbol: str, side: Side) -> Decimal:
        """The price at which a market order of this side is filled now: best bid or ask."""
        return fill_price(self.rules, self.contracts[symbol], self.book.prices[symbol].mark, side)

    def _emit(self, event: Event) -> None:
        self.book.apply(event)
        self._changes.append(event)

    def _taken(self) -> list[Event]:
        changes, self._changes = self._changes, []
        return changes

    # Orders and fills

    def _accept(
        self,
        now: int,
        *,
        symbol: str,
        client_order_id: str,
        side: Side,
        quantity: Decimal,
        reduce_only: bool,
        origin: Origin,
        position_side: PositionSide,
        algo: AlgoOrder | None = None,
        stop_loss: Attachment | None = None,
        take_profit: Attachment | None = None,
        limit_price: Decimal | None = None,
    ) -> Order:
        order_id = self.book.last_order_id + 1 if self.book.last_order_id else 8_000_000_001
        kind = OrderType.MARKET if limit_price is None else OrderType.LIMIT
        order = Order(
            symbol=symbol,
            order_id=order_id,
            client_order_id=client_order_id or f"{_MADE_BY.get(origin, 'web_')}{order_id}",
            side=side,
            type=kind,
            quantity=quantity,
            reduce_only=reduce_only,
            close_position=algo is not None and algo.close_position,
            position_side=position_side,
            status=OrderStatus.NEW,
            executed_qty=ZERO,
            avg_price=ZERO,
            origin=origin,
            algo_id=None if algo is None else algo.algo_id,
            orig_type=kind if algo is None else algo.type,
            cum_quote=ZERO,
            stop_price=ZERO if algo is None else algo.trigger_price,
            working_type=WorkingType.CONTRACT_PRICE if algo is None else algo.working_type,
            time=now,
            update_time=now,
            stop_loss=ZERO if stop_loss is None else stop_loss.trigger_price,
            take_profit=ZERO if take_profit is None else take_profit.trigger_price,
            price=limit_price or ZERO,
        )
        self._emit(order)
        return order

    def _expire(self, now: int, order: Order) -> Order:
        order = replace(order, status=OrderStatus.EXPIRED, update_time=now)
        self._emit(order)
        return order

    def _execute(self, now: int, order: Order, quantity: Decimal) -> Order:
        """Fill `quantity`; of a reduce-only order no more than the position, and then the rest expires."""
        if order.reduce_only:
            quantity = min(quantity, self.book.reducible(order.symbol, order.side, order.position_side))
        if quantity:
            order = self._fill(now, order, quantity)
        if (
            order.reduce_only
            and order.remaining
            and not self.book.reducible(order.symbol, order.side, order.position_side)
        ):
            order = self._expire(now, order)
        self._expire_with_position(now, order.symbol, order.position_side)
        return order

    def _execute_now(self, now: int, order: Order, quantity: Decimal) -> Order:
        """Fill `quantity` at the price of now; of a limit order nothing beyond its price, and the rest expires."""
        limit = order.price
        if not limit or (limit - self.fill_price(order.symbol, order.side)) * order.side.sign >= 0:
            order = self._execute(now, order, quantity)
        return self._expire(now, order) if limit and order.status.is_open else order

    def _fill(self, now: int, order: Order, quantity: Decimal) -> Order:
        price = self.fill_price(order.symbol, order.side)
        held = self.book.position(order.symbol, order.position_side)
        settled = settle(held, order.side, quantity, price, self.rules.taker_fee)
        executed = order.executed_qty + quantity
        spent = order.cum_quote + quantity * price
        status = OrderStatus.FILLED if executed == order.quantity else OrderStatus.PARTIALLY_FILLED
        order = replace(
            order,
            status=status,
            executed_qty=executed,
            avg_price=money(spent / executed),
            cum_quote=spent,
            update_time=now,
        )
        self._emit(order)
        self._emit(
            Fill(
                symbol=order.symbol,
                trade_id=self.book.last_trade_id + 1 if self.book.last_trade_id else 500_000_001,
                order_id=order.order_id,
                client_order_id=order.client_order_id,
                side=order.side,
                quantity=quantity,
                price=price,
                fee=settled.fee,
                fee_asset=ASSET,
                realized_pnl=settled.realized,
                position_side=order.position_side,
                time=now,
                closed=settled.closed,
            )
        )
        gained = settled.realized - settled.fee
        self._emit(
            replace(
                held,
                quantity=settled.quantity,
                entry_price=settled.entry_price,
                realized=held.realized + gained if held.quantity else gained,
                realized_ever=held.realized_ever + gained,
                update_time=now,
            )
        )
        wallet = self.book.wallet + gained
        self._emit(Balance(asset=ASSET, wallet=wallet, update_time=now))
        return order

    def _execute_whole(self, now: int, order: Order) -> Order:
        for part in parts(self.rules, self.contracts[order.symbol], order):
            if order.status.is_open:
                order = self._execute(now, order, part)
        return order

    def _execute_some(self, now: int, order: Order) -> Order:
        """Fill the smallest part there is; the rest expires."""
        order = self._execute(now, order, min(order.quantity, self.contracts[order.symbol].step))
        return self._expire(now, order) if order.status.is_open else order

    def _expire_with_position(self, now: int, symbol: str, position_side: PositionSide) -> None:
        """Close-position and attached conditionals die with the position; plain reduce-only ones stay (VENUES T20)."""
        flat = not self.book.position(symbol, position_side).quantity
        for algo in list(self.book.open_algos.values()):
            if (
                (algo.symbol, algo.position_side) != (symbol, position_side)
                or not (algo.close_position or algo.attached)
                or algo.status is not AlgoStatus.NEW
            ):
                continue
            # An attached one also goes when the position has turned within one fill.
            over = flat or (algo.attached and not self.book.reducible(symbol, algo.side, position_side))
            if over and not self._clings(algo):
                self._emit(replace(algo, status=AlgoStatus.EXPIRED, update_time=now))

    def _clings(self, _algo: AlgoOrder) -> bool:
        """Whether it outlives its position, which an honest venue does not let happen."""
        return False

    def _check_margin(self, symbol: str, side: Side, quantity: Decimal, position_side: PositionSide) -> None:
        mark = self.book.prices[symbol].mark
        needed = margin_needed(self.book, symbol, side, quantity, mark, self.rules.taker_fee, position_side)
        if needed and needed > self.book.available():
            raise Refused(Reason.INSUFFICIENT_MARGIN, f"needs {money(needed)}, free {money(self.book.available())}")

    # Conditionals

    def _next_algo_id(self) -> int:
        return self.book.last_algo_id + 1 if self.book.last_algo_id else _FIRST_ALGO_ID

    def _attach(self, now: int, position: Position, kind: ConditionalType, leg: Attachment, origin: Origin) -> None:
        """Set a leg on a position that is not flat: change the one that stands, or place one."""
        standing = self.book.attached(position.symbol, position.position_side, kind)
        if standing is not None and leg.quantity is None:
            changed = replace(standing, trigger_price=leg.trigger_price, working_type=leg.working_type, update_time=now)
            if replace(changed, update_time=standing.update_time) != standing:
                self._emit(changed)
            return
        self._emit(
            AlgoOrder(
                symbol=position.symbol,
                algo_id=self._next_algo_id(),
                client_algo_id="",
                side=Side.SELL if position.quantity > 0 else Side.BUY,
                type=kind,
                quantity=ZERO if leg.quantity is None else leg.quantity,
                trigger_price=leg.trigger_price,
                working_type=leg.working_type,
                reduce_only=True,
                close_position=leg.quantity is None,
                price_protect=False,
                position_side=position.position_side,
                status=AlgoStatus.NEW,
                actual_order_id=None,
                actual_qty=ZERO,
                actual_price=ZERO,
                reject_reason="",
                origin=origin,
                create_time=now,
                update_time=now,
                trigger_time=0,
                attached=True,
            )
        )

    def _reached(self, price: Price, before: Price) -> Iterable[AlgoOrder]:
        reached = [
            algo
            for algo in self.book.open_algos.values()
            if algo.symbol == price.symbol
            and algo.status is AlgoStatus.NEW
            and algo.crossed_by(price.of(algo.working_type))
        ]
        return sorted(reached, key=lambda a: (abs(a.trigger_price - before.of(a.working_type)), a.algo_id))

    def _trigger(self, now: int, algo: AlgoOrder) -> None:
        fate = self.fate(algo)
        algo = replace(algo, status=AlgoStatus.TRIGGERING, trigger_time=now, update_time=now)
        self._emit(algo)
        if fate is Fate.REJECTED:
            self._emit(replace(algo, status=AlgoStatus.REJECTED, reject_reason="Rejected", update_time=now))
        elif fate is not Fate.STUCK:
            self._fire(now, algo, whole=fate is Fate.WORKS)

    def _fire(self, now: int, algo: AlgoOrder, *, whole: bool) -> None:
        """Make the order of a conditional whose trigger was reached."""
        reducible = self.book.reducible(algo.symbol, algo.side, algo.position_side)
        if algo.reduce_only and not reducible:
            self._emit(replace(algo, status=AlgoStatus.EXPIRED, reject_reason="Reduce Only reject", update_time=now))
            return
        quantity = reducible if algo.close_position else algo.quantity
        if not algo.reduce_only:
            try:
                self._check_margin(algo.symbol, algo.side, quantity, algo.position_side)
            except Refused as refused:
                self._emit(
                    replace(algo, status=AlgoStatus.REJECTED, reject_reason=refused.reason.name, update_time=now)
                )
                return
        order = self._accept(
            now,
            symbol=algo.symbol,
            client_order_id="",
            side=algo.side,
            quantity=quantity,
            reduce_only=algo.reduce_only,
            origin=Origin.ALGO,
            position_side=algo.position_side,
            algo=algo,
        )
        algo = replace(algo, status=AlgoStatus.TRIGGERED, actual_order_id=order.order_id, update_time=now)
        self._emit(algo)
        order = self._execute_whole(now, order) if whole else self._execute_some(now, order)
        self._emit(
            replace(
                algo,
                status=AlgoStatus.FINISHED,
                actual_qty=order.executed_qty,
                actual_price=order.avg_price,
                update_time=now,
            )
        )

    # The venue's own closing

    def _liquidate_if_due(self, price: Price) -> None:
        """Close positions, this symbol's first and then the worst, until the margin is enough again."""
        if not any(position.symbol == price.symbol for position in self.book.open_positions()):
            return
        while self.book.open_positions() and self.book.margin_balance() <= account_maintenance(
            self.book, self.contracts
        ):
            victim = min(self.book.open_positions(), key=lambda p: (p.symbol != price.symbol, self.book.unrealized(p)))
            self._liquidate(price.time, victim)
        self._refill(price.time, price.symbol)

    def _liquidate(self, now: int, victim: Position) -> None:
        for algo in list(self.book.open_algos.values()):
            of_victim = (algo.symbol, algo.position_side) == (victim.symbol, victim.position_side)
            if of_victim and algo.status is AlgoStatus.NEW:
                self._emit(replace(algo, status=AlgoStatus.EXPIRED, update_time=now))
        self._close_out(now, victim, abs(victim.quantity), Origin.LIQUIDATION)

    def _close_out(self, now: int, position: Position, quantity: Decimal, origin: Origin) -> None:
        order = self._accept(
            now,
            symbol=position.symbol,
            client_order_id="",
            side=Side.SELL if position.quantity > 0 else Side.BUY,
            quantity=quantity,
            reduce_only=True,
            origin=origin,
            position_side=position.position_side,
        )
        self._execute_whole(now, order)

    def _refill(self, now: int, symbol: str) -> None:
        """The insurance fund pays what a liquidation left the wallet below zero."""
        if self.book.wallet < 0:
            self._emit(Insurance(symbol=symbol, amount=-self.book.wallet, time=now))
            self._emit(Balance(asset=ASSET, wallet=ZERO, update_time=now))
