"""The matching engine: market orders, conditionals, positions, margin, liquidation.

Pure: no clock, socket, thread or file. Every method takes the venue time in ms, changes the book and returns what
changed, in the order of happening; a refused request raises `Refused` and has changed nothing. Fees and profits are
rounded to 8 decimals when they arise, so the wallet is the exact sum of what was reported.
"""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Final

from adapters.paper_exchange.book import Book
from adapters.paper_exchange.contracts import Contract
from adapters.paper_exchange.executions import fill_price, following_part, parts
from adapters.paper_exchange.margin import account_maintenance, margin_needed, money, settle
from adapters.paper_exchange.orders import (
    ZERO,
    AlgoOrder,
    AlgoStatus,
    Balance,
    Event,
    Fill,
    Insurance,
    Leverage,
    ListenKey,
    Order,
    OrderStatus,
    OrderType,
    Origin,
    PositionSide,
    Price,
    Side,
    WorkingType,
)
from adapters.paper_exchange.refusals import Reason, Refused
from adapters.paper_exchange.requests import ConditionalRequest, MarketRequest, Rules

ASSET: Final = "USDT"
CONDITIONALS_PER_ACCOUNT: Final = 200


class MatchingEngine:
    """One account on one venue."""

    def __init__(self, contracts: dict[str, Contract], rules: Rules, book: Book | None = None) -> None:
        self.contracts = contracts
        self.rules = rules
        self.book = book if book is not None else Book()
        self._changes: list[Event] = []

    def deposit(self, now: int, amount: Decimal) -> list[Event]:
        """Put `amount` USDT into the wallet."""
        self._emit(Balance(asset=ASSET, wallet=self.book.wallet + amount, update_time=now))
        return self._taken()

    def place_market(self, now: int, asked: MarketRequest) -> list[Event]:
        """Accept a market order and fill it, at once or in parts (the rest by `work`)."""
        contract, price = self._market_of(asked.symbol)
        contract.check_quantity(asked.quantity, largest=contract.max_market_qty)
        if asked.client_order_id and any(
            order.client_order_id == asked.client_order_id for order in self.book.open_orders.values()
        ):
            raise Refused(Reason.DUPLICATE_CLIENT_ID, asked.client_order_id)
        if asked.reduce_only and not self._reducible(asked.symbol, asked.side):
            raise Refused(Reason.REDUCE_ONLY, f"no position that a {asked.side} reduces")
        if not asked.reduce_only:
            self._check_notional(contract, asked.quantity * price.mark)
            self._check_margin(asked.symbol, asked.side, asked.quantity, price.mark)
        order = self._accept(
            now,
            symbol=asked.symbol,
            client_order_id=asked.client_order_id,
            side=asked.side,
            quantity=asked.quantity,
            reduce_only=asked.reduce_only,
            origin=asked.origin,
        )
        self._execute(now, order, parts(self.rules, self.contracts[order.symbol], order)[0])
        return self._taken()

    def place_conditional(self, now: int, asked: ConditionalRequest) -> list[Event]:
        """Accept a conditional; it rests until its price is reached."""
        contract, price = self._market_of(asked.symbol)
        contract.check_price(asked.trigger_price)
        if asked.quantity is not None:
            contract.check_quantity(asked.quantity, largest=contract.max_market_qty)
            if not asked.reduce_only:
                self._check_notional(contract, asked.quantity * asked.trigger_price)
        resting = list(self.book.open_algos.values())
        if asked.client_algo_id and any(algo.client_algo_id == asked.client_algo_id for algo in resting):
            raise Refused(Reason.DUPLICATE_CLIENT_ID, asked.client_algo_id)
        if asked.close_position:
            if not self._reducible(asked.symbol, asked.side):
                raise Refused(Reason.CLOSE_POSITION_FLAT, f"no position that a {asked.side} closes")
            if any(
                algo.close_position and (algo.symbol, algo.side, algo.type) == (asked.symbol, asked.side, asked.type)
                for algo in resting
            ):
                raise Refused(Reason.CLOSE_POSITION_EXISTS, f"{asked.symbol} {asked.side} {asked.type}")
        of_symbol = sum(algo.symbol == asked.symbol for algo in resting)
        if of_symbol >= contract.max_conditionals or len(resting) >= CONDITIONALS_PER_ACCOUNT:
            raise Refused(Reason.TOO_MANY_CONDITIONALS, f"{of_symbol} on {asked.symbol}, {len(resting)} in all")
        algo_id = self.book.last_algo_id + 1 if self.book.last_algo_id else 2_000_000_001
        algo = AlgoOrder(
            symbol=asked.symbol,
            algo_id=algo_id,
            client_algo_id=asked.client_algo_id or f"venue_algo_{algo_id}",
            side=asked.side,
            type=asked.type,
            quantity=ZERO if asked.quantity is None else asked.quantity,
            trigger_price=asked.trigger_price,
            working_type=asked.working_type,
            reduce_only=asked.reduce_only or asked.close_position,
            close_position=asked.close_position,
            price_protect=asked.price_protect,
            position_side=PositionSide.BOTH,
            status=AlgoStatus.NEW,
            actual_order_id=None,
            actual_qty=ZERO,
            actual_price=ZERO,
            reject_reason="",
            origin=Origin.API,
            create_time=now,
            update_time=now,
            trigger_time=0,
        )
        if algo.crossed_by(price.of(algo.working_type)):
            raise Refused(Reason.WOULD_TRIGGER, f"trigger {algo.trigger_price}, mark {price.mark}, last {price.last}")
        self._emit(algo)
        return self._taken()

    def cancel_order(self, now: int, order_id: int) -> list[Event]:
        """Cancel what is left of an ordinary order."""
        order = self.book.open_orders.get(order_id)
        if order is None:
            raise Refused(Reason.NOT_OPEN, f"order {order_id}")
        self._emit(replace(order, status=OrderStatus.CANCELED, update_time=now))
        return self._taken()

    def cancel_conditional(self, now: int, algo_id: int) -> list[Event]:
        """Cancel a resting conditional."""
        algo = self.book.open_algos.get(algo_id)
        if algo is None or algo.status is not AlgoStatus.NEW:
            raise Refused(Reason.NOT_OPEN, f"conditional {algo_id}")
        self._emit(replace(algo, status=AlgoStatus.CANCELED, update_time=now))
        return self._taken()

    def set_leverage(self, symbol: str, leverage: int) -> list[Event]:
        """Set the leverage of a symbol."""
        contract = self._contract(symbol)
        if not 1 <= leverage <= contract.max_leverage:
            raise Refused(Reason.LEVERAGE, f"leverage {leverage} outside 1..{contract.max_leverage}")
        self._emit(Leverage(symbol=symbol, leverage=leverage))
        return self._taken()

    def set_listen_key(self, key: str, expires: int) -> list[Event]:
        """Open, renew or (expires 0) close a private stream's key."""
        self._emit(ListenKey(key=key, expires=expires))
        return self._taken()

    # Time and prices

    def price(self, price: Price) -> list[Event]:
        """Take a price point: fire the conditionals that it reaches, the nearest to the old price first; liquidate."""
        before = self.book.prices.get(price.symbol)
        self._emit(price)
        if before is not None:
            for algo in self._reached(price, before):
                # An earlier one may have closed the position and expired this one.
                if algo.algo_id in self.book.open_algos:
                    self._trigger(price.time, algo)
        self._liquidate_if_due(price)
        return self._taken()

    def work(self, now: int) -> list[Event]:
        """Fill another part of every order that was filled only in part."""
        for order in list(self.book.open_orders.values()):
            # One of the earlier fills may have expired it.
            if order.order_id in self.book.open_orders:
                contract = self.contracts[order.symbol]
                self._execute(now, order, following_part(self.rules, contract, order))
        return self._taken()

    def fill_price(self, symbol: str, side: Side) -> Decimal:
        """The price at which a market order of this side is filled now: best bid or ask."""
        return fill_price(self.rules, self.contracts[symbol], self.book.prices[symbol].mark, side)

    # Inside

    def _emit(self, event: Event) -> None:
        self.book.apply(event)
        self._changes.append(event)

    def _taken(self) -> list[Event]:
        changes, self._changes = self._changes, []
        return changes

    def _contract(self, symbol: str) -> Contract:
        contract = self.contracts.get(symbol)
        if contract is None:
            raise Refused(Reason.UNKNOWN_SYMBOL, symbol)
        return contract

    def _market_of(self, symbol: str) -> tuple[Contract, Price]:
        contract = self._contract(symbol)
        price = self.book.prices.get(symbol)
        if price is None:
            raise Refused(Reason.NO_PRICE, symbol)
        return contract, price

    def _check_notional(self, contract: Contract, notional: Decimal) -> None:
        if notional < contract.min_notional:
            raise Refused(Reason.NOTIONAL_BELOW_MIN, f"{contract.min_notional}")

    def _check_margin(self, symbol: str, side: Side, quantity: Decimal, mark: Decimal) -> None:
        needed = margin_needed(self.book, symbol, side, quantity, mark, self.rules.taker_fee)
        if needed and needed > self.book.available():
            raise Refused(Reason.INSUFFICIENT_MARGIN, f"needs {money(needed)}, free {money(self.book.available())}")

    def _reducible(self, symbol: str, side: Side) -> Decimal:
        """How much an order of this side can reduce: the size of the opposite position, else 0."""
        quantity = self.book.position(symbol).quantity
        return abs(quantity) if quantity * side.sign < 0 else ZERO

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
        algo: AlgoOrder | None = None,
    ) -> Order:
        order_id = self.book.last_order_id + 1 if self.book.last_order_id else 8_000_000_001
        made_by_venue = {Origin.ALGO: "venue_child_", Origin.LIQUIDATION: "autoclose-"}.get(origin, "web_")
        order = Order(
            symbol=symbol,
            order_id=order_id,
            client_order_id=client_order_id or f"{made_by_venue}{order_id}",
            side=side,
            type=OrderType.MARKET,
            quantity=quantity,
            reduce_only=reduce_only,
            close_position=algo is not None and algo.close_position,
            position_side=PositionSide.BOTH,
            status=OrderStatus.NEW,
            executed_qty=ZERO,
            avg_price=ZERO,
            origin=origin,
            algo_id=None if algo is None else algo.algo_id,
            orig_type=OrderType.MARKET if algo is None else algo.type,
            cum_quote=ZERO,
            stop_price=ZERO if algo is None else algo.trigger_price,
            working_type=WorkingType.CONTRACT_PRICE if algo is None else algo.working_type,
            time=now,
            update_time=now,
        )
        self._emit(order)
        return order

    def _execute(self, now: int, order: Order, quantity: Decimal) -> Order:
        """Fill `quantity`; of a reduce-only order no more than the position, and then the rest expires."""
        if order.reduce_only:
            quantity = min(quantity, self._reducible(order.symbol, order.side))
        if quantity:
            order = self._fill(now, order, quantity)
        if order.reduce_only and order.remaining and not self._reducible(order.symbol, order.side):
            order = replace(order, status=OrderStatus.EXPIRED, update_time=now)
            self._emit(order)
        if not self.book.position(order.symbol).quantity:
            self._expire_close_position(now, order.symbol)
        return order

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
            )
        )
        self._emit(replace(held, quantity=settled.quantity, entry_price=settled.entry_price, update_time=now))
        wallet = self.book.wallet + settled.realized - settled.fee
        self._emit(Balance(asset=ASSET, wallet=wallet, update_time=now))
        return order

    def _execute_whole(self, now: int, order: Order) -> Order:
        for part in parts(self.rules, self.contracts[order.symbol], order):
            if order.status.is_open:
                order = self._execute(now, order, part)
        return order

    def _expire_close_position(self, now: int, symbol: str) -> None:
        """Close-position conditionals die with the position; plain reduce-only ones stay (VENUES T20)."""
        for algo in list(self.book.open_algos.values()):
            if algo.symbol == symbol and algo.close_position and algo.status is AlgoStatus.NEW:
                self._emit(replace(algo, status=AlgoStatus.EXPIRED, update_time=now))

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
        algo = replace(algo, status=AlgoStatus.TRIGGERING, trigger_time=now, update_time=now)
        self._emit(algo)
        reducible = self._reducible(algo.symbol, algo.side)
        if algo.reduce_only and not reducible:
            self._emit(replace(algo, status=AlgoStatus.EXPIRED, reject_reason="Reduce Only reject", update_time=now))
            return
        quantity = reducible if algo.close_position else algo.quantity
        if not algo.reduce_only:
            try:
                self._check_margin(algo.symbol, algo.side, quantity, self.book.prices[algo.symbol].mark)
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
            algo=algo,
        )
        algo = replace(algo, status=AlgoStatus.TRIGGERED, actual_order_id=order.order_id, update_time=now)
        self._emit(algo)
        order = self._execute_whole(now, order)
        self._emit(
            replace(
                algo,
                status=AlgoStatus.FINISHED,
                actual_qty=order.executed_qty,
                actual_price=order.avg_price,
                update_time=now,
            )
        )

    def _liquidate_if_due(self, price: Price) -> None:
        """Close positions, this symbol's first and then the worst, until the margin is enough again."""
        if not self.book.position(price.symbol).quantity:
            return
        while self.book.open_positions() and self.book.margin_balance() <= account_maintenance(
            self.book, self.contracts
        ):
            victim = min(self.book.open_positions(), key=lambda p: (p.symbol != price.symbol, self.book.unrealized(p)))
            for algo in list(self.book.open_algos.values()):
                if algo.symbol == victim.symbol and algo.status is AlgoStatus.NEW:
                    self._emit(replace(algo, status=AlgoStatus.EXPIRED, update_time=price.time))
            order = self._accept(
                price.time,
                symbol=victim.symbol,
                client_order_id="",
                side=Side.SELL if victim.quantity > 0 else Side.BUY,
                quantity=abs(victim.quantity),
                reduce_only=True,
                origin=Origin.LIQUIDATION,
            )
            self._execute_whole(price.time, order)
        if self.book.wallet < 0:
            self._emit(Insurance(symbol=price.symbol, amount=-self.book.wallet, time=price.time))
            self._emit(Balance(asset=ASSET, wallet=ZERO, update_time=price.time))
