"""The hands on market and account that are not the client's: prices, the venue's own acts, a human's.

Control commands (see `control`); `position_side` is LONG or SHORT in hedge mode. Orders by hand have origin "human".
Prices:
    price {symbol, mark, last?, index?}     now; last and index follow unless given; the market goes on from it
    gap {symbol, percent}                   a jump, up or (negative) down
    wild {symbol, mark, last?}              one print, and back
    freeze {on, symbol?}                    prices stand still, all or one symbol's
    spread {bps}  partial_fills {percent}   how market orders are filled
Venue:
    contract {symbol, tick?, step?, min_qty?, min_notional?, max_conditionals?}   other filters from now on
    halt {symbol, on}                       no trading, no prices, no triggers
    account_cap {conditionals}              the cap on conditional orders over all symbols
    expire {algoId}                         a resting conditional is taken off the book
    release {algoId}                        one that is stuck in TRIGGERING goes on
    liquidate {symbol, position_side?}      whatever the margin
    adl {symbol, quantity?, position_side?} auto-deleveraging, of the whole position unless quantity is given
    rights {withdraw?, trade?}              what the API key may do
Human:
    order {symbol, side, quantity, reduceOnly?, position_side?}
    stop {symbol, side, trigger, quantity?, take_profit?, position_side?}   without quantity it closes the position
    position_stop {symbol, stop_loss?, take_profit?, position_side?}        attached; "0" takes it away
    cancel {algoId | orderId}  cancel_all {symbol}  leverage {symbol, leverage}  mode {hedge}
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from adapters.paper_exchange.asked import Asked, ControlError
from adapters.paper_exchange.codec import plain
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.orders import (
    AlgoOrder,
    AlgoStatus,
    ConditionalType,
    Order,
    Origin,
    PositionSide,
    Price,
    Side,
    WorkingType,
)
from adapters.paper_exchange.requests import (
    CLEAR,
    Attachment,
    Clear,
    ConditionalRequest,
    MarketRequest,
    TradingStop,
)

Command = Callable[[Asked], dict[str, Any]]


class Outsider:
    """Everyone at the venue but the client."""

    def __init__(self, exchange: PaperExchange, on_price: Callable[[int, Price], None]) -> None:
        self._exchange = exchange
        self._on_price = on_price

    def commands(self) -> dict[str, Command]:
        """The control commands by name."""
        return {
            "price": self._price,
            "gap": self._gap,
            "wild": self._wild,
            "freeze": self._freeze,
            "spread": self._spread,
            "partial_fills": self._partial_fills,
            "contract": self._contract,
            "halt": self._halt,
            "account_cap": self._account_cap,
            "expire": self._expire,
            "release": self._release,
            "liquidate": self._liquidate,
            "adl": self._adl,
            "rights": self._rights,
            "order": self._order,
            "stop": self._stop,
            "position_stop": self._position_stop,
            "cancel": self._cancel,
            "cancel_all": self._cancel_all,
            "leverage": self._leverage,
            "mode": self._mode,
        }

    # Prices

    def _price(self, asked: Asked) -> dict[str, Any]:
        mark = asked.positive("mark")
        before = self._before(asked)
        self._print(
            replace(
                before,
                mark=mark,
                last=asked.positive("last") if "last" in asked else mark,
                index=asked.positive("index") if "index" in asked else mark,
            )
        )
        return {"symbol": before.symbol, "mark": plain(mark)}

    def _gap(self, asked: Asked) -> dict[str, Any]:
        before = self._before(asked)
        percent = asked.decimal("percent")
        if percent <= -100:
            raise ControlError(f"percent={percent}: must be above -100")
        mark = self._exchange.engine.contracts[before.symbol].on_tick(before.mark * (100 + percent) / 100)
        self._print(replace(before, mark=mark, last=mark, index=mark))
        return {"symbol": before.symbol, "mark": plain(mark)}

    def _wild(self, asked: Asked) -> dict[str, Any]:
        before = self._before(asked)
        mark = asked.positive("mark")
        self._print(replace(before, mark=mark, last=asked.positive("last") if "last" in asked else mark))
        self._print(before)
        return {"symbol": before.symbol, "mark": plain(before.mark)}

    def _freeze(self, asked: Asked) -> dict[str, Any]:
        on = asked.flag("on")
        if "symbol" in asked:
            self._stand_still(self._symbol(asked), on)
        else:
            self._exchange.frozen = on
        return {"frozen": on}

    def _spread(self, asked: Asked) -> dict[str, Any]:
        engine = self._exchange.engine
        engine.rules = replace(engine.rules, spread_bps=asked.positive("bps"))
        return {"bps": plain(engine.rules.spread_bps)}

    def _partial_fills(self, asked: Asked) -> dict[str, Any]:
        engine = self._exchange.engine
        engine.rules = replace(engine.rules, partial_fills=asked.share("percent"))
        return {"percent": engine.rules.partial_fills}

    # The venue

    def _contract(self, asked: Asked) -> dict[str, Any]:
        before = self._exchange.engine.contracts[self._symbol(asked)]
        changes: dict[str, Any] = {
            name: asked.positive(name) for name in ("tick", "step", "min_qty", "min_notional") if name in asked
        }
        if "max_conditionals" in asked:
            changes["max_conditionals"] = asked.whole("max_conditionals", least=0)
        self._exchange.relist(replace(before, **changes))
        return {"symbol": before.symbol, "changed": sorted(changes)}

    def _halt(self, asked: Asked) -> dict[str, Any]:
        symbol, on = self._symbol(asked), asked.flag("on")
        self._exchange.relist(replace(self._exchange.engine.contracts[symbol], trading=not on))
        self._stand_still(symbol, on)
        return {"symbol": symbol, "halted": on}

    def _account_cap(self, asked: Asked) -> dict[str, Any]:
        engine = self._exchange.engine
        engine.rules = replace(engine.rules, conditionals_per_account=asked.whole("conditionals", least=0))
        return {"conditionals": engine.rules.conditionals_per_account}

    def _expire(self, asked: Asked) -> dict[str, Any]:
        algo_id = asked.whole("algoId")
        self._exchange.run(lambda now: self._exchange.engine.expire_conditional(now, algo_id))
        return {"algoId": algo_id}

    def _release(self, asked: Asked) -> dict[str, Any]:
        algo_id = asked.whole("algoId")
        self._exchange.run(lambda now: self._exchange.engine.resume_trigger(now, algo_id))
        return {"algoId": algo_id}

    def _liquidate(self, asked: Asked) -> dict[str, Any]:
        symbol, side = self._symbol(asked), _position_side(asked)
        events = self._exchange.run(lambda now: self._exchange.engine.liquidate(now, symbol, side))
        return {"orderId": _last_order(events)}

    def _adl(self, asked: Asked) -> dict[str, Any]:
        symbol, side = self._symbol(asked), _position_side(asked)
        held = abs(self._exchange.book.position(symbol, side).quantity)
        quantity = asked.positive("quantity") if "quantity" in asked else held
        events = self._exchange.run(lambda now: self._exchange.engine.deleverage(now, symbol, quantity, side))
        return {"orderId": _last_order(events)}

    def _rights(self, asked: Asked) -> dict[str, Any]:
        rights = {name: asked.flag(name) for name in asked.values}
        self._exchange.key_rights |= rights
        return {"rights": dict(self._exchange.key_rights)}

    # A human

    def _order(self, asked: Asked) -> dict[str, Any]:
        wanted = MarketRequest(
            symbol=asked.text("symbol"),
            side=asked.choice("side", Side),
            quantity=asked.decimal("quantity"),
            reduce_only=asked.flag("reduceOnly", False),
            origin=Origin.HUMAN,
            position_side=_position_side(asked),
        )
        events = self._exchange.run(lambda now: self._exchange.engine.place_market(now, wanted))
        return {"orderId": _last_order(events)}

    def _stop(self, asked: Asked) -> dict[str, Any]:
        quantity = asked.positive("quantity") if "quantity" in asked else None
        profit = asked.flag("take_profit", False)
        kind = ConditionalType.TAKE_PROFIT_MARKET if profit else ConditionalType.STOP_MARKET
        side = _position_side(asked)
        wanted = ConditionalRequest(
            symbol=asked.text("symbol"),
            side=asked.choice("side", Side),
            type=kind,
            trigger_price=asked.positive("trigger"),
            quantity=quantity,
            working_type=WorkingType.MARK_PRICE,
            reduce_only=quantity is not None and side is PositionSide.BOTH,
            close_position=quantity is None,
            position_side=side,
            origin=Origin.HUMAN,
        )
        events = self._exchange.run(lambda now: self._exchange.engine.place_conditional(now, wanted))
        return {"algoId": next(event.algo_id for event in events if isinstance(event, AlgoOrder))}

    def _position_stop(self, asked: Asked) -> dict[str, Any]:
        wanted = TradingStop(
            symbol=asked.text("symbol"),
            position_side=_position_side(asked),
            stop_loss=_leg(asked, "stop_loss"),
            take_profit=_leg(asked, "take_profit"),
        )
        self._exchange.run(lambda now: self._exchange.engine.set_trading_stop(now, wanted, Origin.HUMAN))
        return {"symbol": wanted.symbol}

    def _cancel(self, asked: Asked) -> dict[str, Any]:
        engine = self._exchange.engine
        if "algoId" in asked:
            algo_id = asked.whole("algoId")
            self._exchange.run(lambda now: engine.cancel_conditional(now, algo_id))
            return {"algoId": algo_id}
        order_id = asked.whole("orderId")
        self._exchange.run(lambda now: engine.cancel_order(now, order_id))
        return {"orderId": order_id}

    def _cancel_all(self, asked: Asked) -> dict[str, Any]:
        symbol = self._symbol(asked)
        book = self._exchange.book
        resting = [algo for algo in book.open_algos.values() if algo.status is AlgoStatus.NEW]
        algos = [algo.algo_id for algo in resting if algo.symbol == symbol]
        orders = [order.order_id for order in book.open_orders.values() if order.symbol == symbol]
        engine = self._exchange.engine
        for algo_id in algos:
            self._exchange.run(partial(engine.cancel_conditional, algo_id=algo_id))
        for order_id in orders:
            self._exchange.run(partial(engine.cancel_order, order_id=order_id))
        return {"cancelled": len(algos) + len(orders)}

    def _leverage(self, asked: Asked) -> dict[str, Any]:
        symbol, leverage = self._symbol(asked), asked.whole("leverage")
        self._exchange.run(lambda _now: self._exchange.engine.set_leverage(symbol, leverage))
        return {"symbol": symbol, "leverage": leverage}

    def _mode(self, asked: Asked) -> dict[str, Any]:
        hedge = asked.flag("hedge")
        self._exchange.run(lambda _now: self._exchange.engine.set_position_mode(hedge=hedge))
        return {"hedge": hedge}

    # Inside

    def _symbol(self, asked: Asked) -> str:
        symbol = asked.text("symbol")
        if symbol not in self._exchange.engine.contracts:
            raise ControlError(f"symbol={symbol!r}: is not listed")
        return symbol

    def _before(self, asked: Asked) -> Price:
        return self._exchange.book.prices[self._symbol(asked)]

    def _print(self, price: Price) -> None:
        now = self._exchange.clock()
        printed = replace(price, time=now)
        self._exchange.commit(now, self._exchange.engine.price(printed))
        self._on_price(now, printed)

    def _stand_still(self, symbol: str, on: bool) -> None:
        if on:
            self._exchange.frozen_symbols.add(symbol)
        else:
            self._exchange.frozen_symbols.discard(symbol)


def _position_side(asked: Asked) -> PositionSide:
    return asked.choice("position_side", PositionSide, PositionSide.BOTH)


def _leg(asked: Asked, name: str) -> Attachment | Clear | None:
    if name not in asked:
        return None
    price = asked.decimal(name)
    return Attachment(trigger_price=price, working_type=WorkingType.MARK_PRICE) if price else CLEAR


def _last_order(events: list[Any]) -> int:
    return next(event.order_id for event in reversed(events) if isinstance(event, Order))
