"""The rows of Binance USD-M replies: orders, conditionals, positions, account, trades (VENUES A.1, B.3, samples)."""

from decimal import Decimal
from typing import Any, Final

from adapters.paper_exchange.book import Book
from adapters.paper_exchange.codec import plain
from adapters.paper_exchange.contracts import Contract
from adapters.paper_exchange.engine import MatchingEngine
from adapters.paper_exchange.margin import account_maintenance, liquidation_price, maintenance_margin, money
from adapters.paper_exchange.orders import ASSET, ZERO, AlgoOrder, AlgoStatus, Fill, Order, OrderType, Position

Row = dict[str, Any]
LARGEST_NOTIONAL: Final = "20000000"


def order_row(order: Order) -> Row:
    """An ordinary order as REST shows it."""
    return {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "status": order.status.value,
        "clientOrderId": order.client_order_id,
        "price": plain(order.price) if order.price else "0.00",
        "avgPrice": plain(order.avg_price),
        "origQty": plain(order.quantity),
        "executedQty": plain(order.executed_qty),
        "cumQty": plain(order.executed_qty),
        "cumQuote": plain(order.cum_quote),
        "timeInForce": time_in_force(order),
        "type": order.type.value,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side.value,
        "positionSide": order.position_side.value,
        "stopPrice": plain(order.stop_price),
        "workingType": order.working_type.value,
        "priceProtect": False,
        "origType": order.orig_type,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "goodTillDate": 0,
        "time": order.time,
        "updateTime": order.update_time,
    }


def time_in_force(order: Order) -> str:
    """A market order is shown as one that would rest."""
    return "IOC" if order.type is OrderType.LIMIT else "GTC"


def algo_row(algo: AlgoOrder) -> Row:
    """A conditional as REST shows it; once triggered with what became of it."""
    row: Row = {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_algo_id,
        "algoType": "CONDITIONAL",
        "orderType": algo.type.value,
        "symbol": algo.symbol,
        "side": algo.side.value,
        "positionSide": algo.position_side.value,
        "timeInForce": "GTE_GTC" if algo.close_position else "GTC",
        "quantity": plain(algo.quantity),
        "algoStatus": algo.status.value,
        "triggerPrice": plain(algo.trigger_price),
        "price": "0.00000",
        "icebergQuantity": None,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "workingType": algo.working_type.value,
        "priceMatch": "NONE",
        "closePosition": algo.close_position,
        "priceProtect": algo.price_protect,
        "reduceOnly": algo.reduce_only,
        "createTime": algo.create_time,
        "updateTime": algo.update_time,
        "triggerTime": algo.trigger_time,
        "goodTillDate": 0,
    }
    if algo.status is not AlgoStatus.NEW:
        row |= {
            "actualOrderId": "" if algo.actual_order_id is None else str(algo.actual_order_id),
            "actualPrice": plain(algo.actual_price),
            "actualQty": plain(algo.actual_qty),
            "actualType": "MARKET" if algo.actual_order_id is not None else "",
            "tpOrderType": "",
        }
    return row


def position_row(engine: MatchingEngine, position: Position) -> Row:
    """A position as positionRisk v3 shows it."""
    book = engine.book
    margin = plain(money(book.initial_margin(position)))
    return {
        "symbol": position.symbol,
        "positionSide": position.position_side.value,
        "positionAmt": plain(position.quantity),
        "entryPrice": plain(position.entry_price),
        "breakEvenPrice": plain(_break_even(engine, position)),
        "markPrice": plain(book.prices[position.symbol].mark),
        "unRealizedProfit": plain(money(book.unrealized(position))),
        "liquidationPrice": plain(liquidation_price(book, engine.contracts, position)),
        "isolatedMargin": "0",
        "notional": plain(money(book.notional(position))),
        "marginAsset": ASSET,
        "isolatedWallet": "0",
        "initialMargin": margin,
        "maintMargin": plain(money(maintenance_margin(book, engine.contracts, position))),
        "positionInitialMargin": margin,
        "openOrderInitialMargin": "0",
        "adl": 1 if position.quantity else 0,
        "bidNotional": "0",
        "askNotional": "0",
        "updateTime": position.update_time,
    }


def position_row_v2(engine: MatchingEngine, position: Position) -> Row:
    """A position as positionRisk v2 shows it; flat ones are shown too."""
    row = position_row(engine, position)
    kept = (
        "symbol", "positionSide", "positionAmt", "entryPrice", "breakEvenPrice", "markPrice", "unRealizedProfit",
        "liquidationPrice", "isolatedMargin", "notional", "isolatedWallet", "updateTime",
    )  # fmt: skip
    return {name: row[name] for name in kept} | {
        "leverage": str(engine.book.leverage(position.symbol)),
        "maxNotionalValue": LARGEST_NOTIONAL,
        "marginType": "cross",
        "isAutoAddMargin": "false",
    }


def account_position_row(engine: MatchingEngine, position: Position, *, version: int) -> Row:
    """A position as the account endpoints show it."""
    row = position_row(engine, position)
    kept = {
        "symbol": row["symbol"],
        "positionSide": row["positionSide"],
        "positionAmt": row["positionAmt"],
        "unrealizedProfit": row["unRealizedProfit"],
        "isolatedMargin": "0",
        "notional": row["notional"],
        "isolatedWallet": "0",
        "initialMargin": row["initialMargin"],
        "maintMargin": row["maintMargin"],
        "updateTime": row["updateTime"],
    }
    if version == 2:
        kept |= {
            "positionInitialMargin": row["initialMargin"],
            "openOrderInitialMargin": "0",
            "leverage": str(engine.book.leverage(position.symbol)),
            "isolated": False,
            "entryPrice": row["entryPrice"],
            "breakEvenPrice": row["breakEvenPrice"],
            "maxNotional": LARGEST_NOTIONAL,
            "bidNotional": "0",
            "askNotional": "0",
        }
    return kept


def asset_row(engine: MatchingEngine, now: int) -> Row:
    """The USDT row of the account endpoints; its update time is never 0 (ccxt drops such rows, VENUES A.1)."""
    book = engine.book
    positions = book.open_positions()
    initial = plain(money(sum((book.initial_margin(position) for position in positions), ZERO)))
    free = plain(money(max(book.available(), ZERO)))
    wallet = plain(money(book.wallet))
    unrealized = plain(money(sum((book.unrealized(position) for position in positions), ZERO)))
    return {
        "asset": ASSET,
        "walletBalance": wallet,
        "unrealizedProfit": unrealized,
        "marginBalance": plain(money(book.margin_balance())),
        "maintMargin": plain(money(account_maintenance(book, engine.contracts))),
        "initialMargin": initial,
        "positionInitialMargin": initial,
        "openOrderInitialMargin": "0.00000000",
        "crossWalletBalance": wallet,
        "crossUnPnl": unrealized,
        "availableBalance": free,
        "maxWithdrawAmount": free,
        "marginAvailable": True,
        "updateTime": now if book.balance is None else book.balance.update_time,
    }


def trade_row(fill: Fill) -> Row:
    """An own trade."""
    return {
        "symbol": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "side": fill.side.value,
        "price": plain(fill.price),
        "qty": plain(fill.quantity),
        "realizedPnl": plain(fill.realized_pnl),
        "quoteQty": plain(fill.price * fill.quantity),
        "commission": plain(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": fill.time,
        "positionSide": fill.position_side.value,
        "buyer": fill.side.sign > 0,
        "maker": False,
    }


def income_rows(book: Book) -> list[Row]:
    """Fees, realised profits and insurance payments, oldest first."""
    rows: list[Row] = []
    for fill in book.fills:
        if fill.realized_pnl:
            rows.append(_income(fill.symbol, "REALIZED_PNL", fill.realized_pnl, fill.time, fill.trade_id))
        rows.append(_income(fill.symbol, "COMMISSION", -fill.fee, fill.time, fill.trade_id))
    rows += [_income(paid.symbol, "INSURANCE_CLEAR", paid.amount, paid.time, 0) for paid in book.insurances]
    return sorted(rows, key=lambda row: int(row["time"]))


def symbol_row(contract: Contract) -> Row:
    """A contract as exchangeInfo lists it; only order types that the paper exchange takes."""
    tick, step = plain(contract.tick), plain(contract.step)
    return {
        "symbol": contract.symbol,
        "pair": contract.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING" if contract.trading else "SETTLING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": contract.base,
        "quoteAsset": contract.quote,
        "marginAsset": contract.quote,
        "pricePrecision": contract.price_digits,
        "quantityPrecision": contract.quantity_digits,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": plain(contract.max_price), "tickSize": tick},
            _lot("LOT_SIZE", contract.min_qty, contract.max_qty, step),
            _lot("MARKET_LOT_SIZE", contract.min_qty, contract.max_market_qty, step),
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": contract.max_conditionals},
            {"filterType": "MIN_NOTIONAL", "notional": plain(contract.min_notional)},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": "1.0500",
                "multiplierDown": "0.9500",
                "multiplierDecimal": "4",
            },
            {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP_MARKET", "TAKE_PROFIT_MARKET"],
        "timeInForce": ["GTC", "IOC"],
        "permissionSets": ["GRID", "COPY"],
    }


def bracket_row(contract: Contract) -> Row:
    """The one leverage bracket of a contract."""
    return {
        "symbol": contract.symbol,
        "notionalCoef": 1.0,
        "brackets": [
            {
                "bracket": 1,
                "initialLeverage": contract.max_leverage,
                "notionalCap": int(LARGEST_NOTIONAL),
                "notionalFloor": 0,
                "maintMarginRatio": float(contract.maint_margin_rate),
                "cum": 0.0,
            }
        ],
    }


def _lot(name: str, smallest: Decimal, largest: Decimal, step: str) -> Row:
    return {"filterType": name, "minQty": plain(smallest), "maxQty": plain(largest), "stepSize": step}


def _income(symbol: str, kind: str, amount: Decimal, time: int, trade: int) -> Row:
    return {
        "symbol": symbol,
        "incomeType": kind,
        "income": plain(amount),
        "asset": ASSET,
        "info": str(trade) if trade else "",
        "time": time,
        "tranId": trade * 10 + (1 if kind == "COMMISSION" else 2),
        "tradeId": str(trade) if trade else "",
    }


def _break_even(engine: MatchingEngine, position: Position) -> Decimal:
    if not position.quantity:
        return ZERO
    fee = engine.rules.taker_fee
    return money(position.entry_price * (1 + 2 * fee if position.quantity > 0 else 1 - 2 * fee))
