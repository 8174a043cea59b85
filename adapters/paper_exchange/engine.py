"""The matching engine as requests and prices reach it: market orders, conditionals, attached stops, modes.

Pure: no clock, socket, thread or file. Every method takes the venue time in ms, changes the book and returns what
changed, in the order of happening; a refused request raises `Refused` and has changed nothing. What follows from a
request or a price by itself is in `matching`.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Final

from adapters.paper_exchange.contracts import Contract
from adapters.paper_exchange.executions import following_part, parts
from adapters.paper_exchange.matching import Matching
from adapters.paper_exchange.orders import (
    ASSET,
    ZERO,
    AlgoOrder,
    AlgoStatus,
    Balance,
    ConditionalType,
    Event,
    Leverage,
    ListenKey,
    OrderStatus,
    Origin,
    Position,
    PositionMode,
    PositionSide,
    Price,
    Side,
)
from adapters.paper_exchange.refusals import Reason, Refused
from adapters.paper_exchange.requests import (
    CLEAR,
    Amendment,
    Attachment,
    Clear,
    ConditionalRequest,
    MarketRequest,
    TradingStop,
)

_LEGS: Final = (ConditionalType.STOP_MARKET, ConditionalType.TAKE_PROFIT_MARKET)
_Leg = Attachment | Clear | None


class MatchingEngine(Matching):
    """One account on one venue."""

    def deposit(self, now: int, amount: Decimal) -> list[Event]:
        """Put `amount` USDT into the wallet."""
        self._emit(Balance(asset=ASSET, wallet=self.book.wallet + amount, update_time=now))
        return self._taken()

    # Orders

    def place_market(self, now: int, asked: MarketRequest) -> list[Event]:
        """Accept an order and fill it at once or in parts, the rest by `work`; of one with a limit the rest expires."""
        contract, price = self._market_of(asked.symbol)
        limit = asked.limit_price
        self._check_side(asked.symbol, asked.position_side)
        contract.check_quantity(asked.quantity, largest=contract.max_market_qty if limit is None else contract.max_qty)
        if limit is not None:
            contract.check_price(limit)
        if asked.client_order_id and any(
            order.client_order_id == asked.client_order_id for order in self.book.open_orders.values()
        ):
            raise Refused(Reason.DUPLICATE_CLIENT_ID, asked.client_order_id)
        reduce_only = asked.reduce_only or not asked.position_side.opened_by(asked.side)
        if reduce_only and not self.book.reducible(asked.symbol, asked.side, asked.position_side):
            raise Refused(Reason.REDUCE_ONLY, f"no position that a {asked.side} reduces")
        legs = (asked.stop_loss, asked.take_profit)
        for kind, leg in zip(_LEGS, legs, strict=True):
            if leg is not None:
                self._check_attachment(contract, price, asked.side, kind, leg)
        if not reduce_only:
            self._check_notional(contract, asked.quantity * price.mark)
            self._check_margin(asked.symbol, asked.side, asked.quantity, asked.position_side)
        order = self._accept(
            now,
            symbol=asked.symbol,
            client_order_id=asked.client_order_id,
            side=asked.side,
            quantity=asked.quantity,
            reduce_only=reduce_only,
            origin=asked.origin,
            position_side=asked.position_side,
            stop_loss=asked.stop_loss,
            take_profit=asked.take_profit,
            limit_price=limit,
        )
        order = self._execute_now(now, order, parts(self.rules, contract, order)[0])
        held = self.book.position(asked.symbol, asked.position_side)
        if order.executed_qty and held.quantity * asked.side.sign > 0:
            for kind, leg in zip(_LEGS, legs, strict=True):
                if leg is not None:
                    self._attach(now, held, kind, leg, asked.origin)
        return self._taken()

    def cancel_order(self, now: int, order_id: int) -> list[Event]:
        """Cancel what is left of an ordinary order."""
        order = self.book.open_orders.get(order_id)
        if order is None:
            raise Refused(Reason.NOT_OPEN, f"order {order_id}")
        self._emit(replace(order, status=OrderStatus.CANCELED, update_time=now))
        return self._taken()

    # Conditionals

    def place_conditional(self, now: int, asked: ConditionalRequest) -> list[Event]:
        """Accept a conditional; it rests until its price is reached."""
        contract, price = self._market_of(asked.symbol)
        self._check_side(asked.symbol, asked.position_side)
        contract.check_price(asked.trigger_price)
        reduce_only = asked.reduce_only or asked.close_position or not asked.position_side.opened_by(asked.side)
        if asked.quantity is not None:
            contract.check_quantity(asked.quantity, largest=contract.max_market_qty)
            if not reduce_only:
                self._check_notional(contract, asked.quantity * asked.trigger_price)
        self._check_room(contract, asked)
        algo_id = self._next_algo_id()
        algo = AlgoOrder(
            symbol=asked.symbol,
            algo_id=algo_id,
            client_algo_id=asked.client_algo_id or f"venue_algo_{algo_id}",
            side=asked.side,
            type=asked.type,
            quantity=ZERO if asked.quantity is None else asked.quantity,
            trigger_price=asked.trigger_price,
            working_type=asked.working_type,
            reduce_only=reduce_only,
            close_position=asked.close_position,
            price_protect=asked.price_protect,
            position_side=asked.position_side,
            status=AlgoStatus.NEW,
            actual_order_id=None,
            actual_qty=ZERO,
            actual_price=ZERO,
            reject_reason="",
            origin=asked.origin,
            create_time=now,
            update_time=now,
            trigger_time=0,
        )
        self._check_not_crossed(algo, price)
        self._emit(algo)
        return self._taken()

    def amend_conditional(self, now: int, algo_id: int, asked: Amendment) -> list[Event]:
        """Change a resting conditional in place; it keeps its id and never leaves the book."""
        algo = self._resting(algo_id)
        contract, price = self._market_of(algo.symbol)
        trigger = algo.trigger_price if asked.trigger_price is None else asked.trigger_price
        contract.check_price(trigger)
        if asked.quantity is not None:
            if algo.close_position:
                raise Refused(Reason.QUANTITY_OF_WHOLE, f"conditional {algo_id} closes the whole position")
            contract.check_quantity(asked.quantity, largest=contract.max_market_qty)
        changed = replace(
            algo,
            trigger_price=trigger,
            quantity=algo.quantity if asked.quantity is None else asked.quantity,
            working_type=algo.working_type if asked.working_type is None else asked.working_type,
        )
        if changed == algo:
            raise Refused(Reason.NOT_MODIFIED, f"conditional {algo_id}")
        self._check_not_crossed(changed, price)
        self._emit(replace(changed, update_time=now))
        return self._taken()

    def cancel_conditional(self, now: int, algo_id: int) -> list[Event]:
        """Cancel a resting conditional, an attached one too."""
        self._emit(replace(self._resting(algo_id), status=AlgoStatus.CANCELED, update_time=now))
        return self._taken()

    def expire_conditional(self, now: int, algo_id: int, reason: str = "") -> list[Event]:
        """The venue takes a resting conditional off the book by itself."""
        algo = self._resting(algo_id)
        self._emit(replace(algo, status=AlgoStatus.EXPIRED, reject_reason=reason, update_time=now))
        return self._taken()

    def resume_trigger(self, now: int, algo_id: int) -> list[Event]:
        """Let a conditional that is stuck in TRIGGERING go on."""
        algo = self.book.open_algos.get(algo_id)
        if algo is None or algo.status is not AlgoStatus.TRIGGERING:
            raise Refused(Reason.NOT_OPEN, f"conditional {algo_id} is not triggering")
        self._fire(now, algo, whole=True)
        return self._taken()

    # Positions

    def set_trading_stop(self, now: int, asked: TradingStop, origin: Origin = Origin.API) -> list[Event]:
        """Set, change or clear the stop and the take-profit that stand on a position.

        A leg without quantity is the position's one stop and is changed in place; one with a quantity is added. What
        was left standing on a flat position can be cleared.
        """
        contract, price = self._market_of(asked.symbol)
        self._check_side(asked.symbol, asked.position_side)
        held = self.book.position(asked.symbol, asked.position_side)
        legs = tuple(zip(_LEGS, (asked.stop_loss, asked.take_profit), strict=True))
        sets = any(isinstance(leg, Attachment) for _, leg in legs)
        if not held.quantity and (sets or not any(self._changes_leg(held, kind, leg) for kind, leg in legs)):
            raise Refused(Reason.POSITION_FLAT, f"{asked.symbol} {asked.position_side}")
        side = Side.BUY if held.quantity > 0 else Side.SELL
        for kind, leg in legs:
            if isinstance(leg, Attachment):
                self._check_attachment(contract, price, side, kind, leg)
                if leg.quantity is not None:
                    self._check_parts(held)
        if not any(self._changes_leg(held, kind, leg) for kind, leg in legs):
            raise Refused(Reason.NOT_MODIFIED, f"{asked.symbol} {asked.position_side}")
        for kind, leg in legs:
            if isinstance(leg, Attachment):
                self._attach(now, held, kind, leg, origin)
            elif leg is CLEAR:
                standing = self.book.attached(asked.symbol, asked.position_side, kind)
                if standing is not None:
                    self._emit(replace(standing, status=AlgoStatus.CANCELED, update_time=now))
        # The position's row has changed, though nothing was traded.
        self._emit(replace(held, update_time=now))
        return self._taken()

    def liquidate(self, now: int, symbol: str, position_side: PositionSide = PositionSide.BOTH) -> list[Event]:
        """Liquidate a position, whatever its margin."""
        held = self._open_position(symbol, position_side)
        self._liquidate(now, held)
        self._refill(now, symbol)
        return self._taken()

    def deleverage(
        self, now: int, symbol: str, quantity: Decimal, position_side: PositionSide = PositionSide.BOTH
    ) -> list[Event]:
        """Auto-deleverage: the venue takes `quantity` (at most all) off a position."""
        held = self._open_position(symbol, position_side)
        self._contract(symbol).check_quantity(quantity, largest=abs(held.quantity))
        self._close_out(now, held, quantity, Origin.DELEVERAGE)
        return self._taken()

    # Settings of the account

    def set_leverage(self, symbol: str, leverage: int) -> list[Event]:
        """Set the leverage of a symbol."""
        contract = self._contract(symbol)
        if not 1 <= leverage <= contract.max_leverage:
            raise Refused(Reason.LEVERAGE, f"leverage {leverage} outside 1..{contract.max_leverage}")
        self._emit(Leverage(symbol=symbol, leverage=leverage))
        return self._taken()

    def set_position_mode(self, *, hedge: bool, symbol: str = "") -> list[Event]:
        """Switch a symbol, or the account and all its symbols, to hedge or one-way mode; flat and without orders."""
        concerned = [self._contract(symbol).symbol] if symbol else list(self.contracts)
        if all(self.book.hedged(each) == hedge for each in concerned) and self.book.hedged(symbol) == hedge:
            raise Refused(Reason.MODE_UNCHANGED, symbol or "account")
        if any(position.symbol in concerned for position in self.book.open_positions()):
            raise Refused(Reason.MODE_WITH_POSITIONS, symbol or "account")
        resting = {order.symbol for order in self.book.open_orders.values()}
        resting |= {algo.symbol for algo in self.book.open_algos.values()}
        if not resting.isdisjoint(concerned):
            raise Refused(Reason.MODE_WITH_ORDERS, symbol or "account")
        self._emit(PositionMode(symbol=symbol, hedge=hedge))
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

    # Checks

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

    def _open_position(self, symbol: str, position_side: PositionSide) -> Position:
        self._contract(symbol)
        held = self.book.position(symbol, position_side)
        if not held.quantity:
            raise Refused(Reason.POSITION_FLAT, f"{symbol} {position_side}")
        return held

    def _resting(self, algo_id: int) -> AlgoOrder:
        algo = self.book.open_algos.get(algo_id)
        if algo is None or algo.status is not AlgoStatus.NEW:
            raise Refused(Reason.NOT_OPEN, f"conditional {algo_id}")
        return algo

    def _check_side(self, symbol: str, position_side: PositionSide) -> None:
        if position_side not in self.book.sides(symbol):
            mode = "hedge" if self.book.hedged(symbol) else "one-way"
            raise Refused(Reason.POSITION_SIDE, f"{position_side} in {mode} mode")

    def _check_notional(self, contract: Contract, notional: Decimal) -> None:
        if notional < contract.min_notional:
            raise Refused(Reason.NOTIONAL_BELOW_MIN, f"{contract.min_notional}")

    def _check_room(self, contract: Contract, asked: ConditionalRequest) -> None:
        """Client id, close-position and the caps on resting conditionals."""
        resting = [algo for algo in self.book.open_algos.values() if not algo.attached]
        if asked.client_algo_id and any(algo.client_algo_id == asked.client_algo_id for algo in resting):
            raise Refused(Reason.DUPLICATE_CLIENT_ID, asked.client_algo_id)
        if asked.close_position:
            if not self.book.reducible(asked.symbol, asked.side, asked.position_side):
                raise Refused(Reason.CLOSE_POSITION_FLAT, f"no position that a {asked.side} closes")
            same = (asked.symbol, asked.side, asked.type, asked.position_side)
            if self.rules.one_close_position and any(
                algo.close_position and (algo.symbol, algo.side, algo.type, algo.position_side) == same
                for algo in resting
            ):
                raise Refused(Reason.CLOSE_POSITION_EXISTS, f"{asked.symbol} {asked.side} {asked.type}")
        of_symbol = sum(algo.symbol == asked.symbol for algo in resting)
        if of_symbol >= contract.max_conditionals or len(resting) >= self.rules.conditionals_per_account:
            raise Refused(Reason.TOO_MANY_CONDITIONALS, f"{of_symbol} on {asked.symbol}, {len(resting)} in all")

    def _check_not_crossed(self, algo: AlgoOrder, price: Price) -> None:
        if algo.crossed_by(price.of(algo.working_type)):
            raise Refused(
                Reason.WOULD_TRIGGER,
                f"trigger {algo.trigger_price}, mark {price.mark}, last {price.last}",
                trigger=algo.trigger_price,
                base=price.of(algo.working_type),
                rises=not algo.triggers_at_or_below,
            )

    def _check_attachment(
        self, contract: Contract, price: Price, side: Side, kind: ConditionalType, leg: Attachment
    ) -> None:
        """Refuse a leg on the wrong side of the price; `side` is the one that opens the position."""
        contract.check_price(leg.trigger_price)
        if leg.quantity is not None:
            contract.check_quantity(leg.quantity, largest=contract.max_market_qty)
        base = price.of(leg.working_type)
        below = (side is Side.BUY) == (kind is ConditionalType.STOP_MARKET)
        if leg.trigger_price >= base if below else leg.trigger_price <= base:
            raise Refused(
                Reason.ATTACHED_WRONG_SIDE,
                f"{kind} {leg.trigger_price} of a {side} position, base price {base}",
                kind=kind,
                trigger=leg.trigger_price,
                side=side,
                below=below,
                base=base,
                working_type=leg.working_type,
            )

    def _check_parts(self, held: Position) -> None:
        parts_of = [
            algo
            for algo in self.book.open_algos.values()
            if algo.attached
            and not algo.close_position
            and (algo.symbol, algo.position_side) == (held.symbol, held.position_side)
        ]
        if len(parts_of) >= self.rules.attached_parts:
            raise Refused(Reason.TOO_MANY_ATTACHED, f"{len(parts_of)} on {held.symbol}")

    def _changes_leg(self, held: Position, kind: ConditionalType, leg: _Leg) -> bool:
        standing = self.book.attached(held.symbol, held.position_side, kind)
        if isinstance(leg, Attachment):
            return (
                leg.quantity is not None
                or standing is None
                or (standing.trigger_price, standing.working_type) != (leg.trigger_price, leg.working_type)
            )
        return leg is CLEAR and standing is not None
