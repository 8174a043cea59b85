"""Errors of Bybit v5: retCodes and texts for every ground of refusal, and the words of every code we know (VENUES D.2).

An error is HTTP 200 with a retCode in the envelope, but for the limit on an IP address (403, no JSON).
"""

from decimal import Decimal
from typing import Final

from adapters.paper_exchange.orders import ConditionalType, Side, WorkingType
from adapters.paper_exchange.refusals import Reason, Refused

PARAMETER: Final = 10001
_PRICE_SCALE: Final = 10_000


class VenueError(Exception):
    """An error reply; `status` is that of HTTP."""

    def __init__(self, code: int, message: str, status: int = 200) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


_WORDS: Final = {
    5004: "Server Timeout",
    10000: "Server Timeout",
    10001: "Request parameter error.",
    10002: "The request time exceeds the time window range.",
    10003: "API key is invalid.",
    10004: "Error sign, please check your signature generation algorithm.",
    10005: "Permission denied, please check your API key permissions.",
    10006: "Too many visits. Exceeded the API Rate Limit.",
    10007: "User authentication failed.",
    10010: "Unmatched IP, please check your API key's bound IP addresses.",
    10014: "Invalid duplicate request.",
    10016: "Server error.",
    10018: "Exceeded the IP Rate Limit.",
    10024: "The product or service you are seeking to access is not available to you due to regulatory restrictions.",
    10027: "Transactions are banned.",
    10028: "The API can only be accessed by unified account users.",
    10029: "The requested symbol is invalid, please check symbol whitelist.",
    10429: "System level frequency protection.",
    30084: "Isolated not modified.",
    30208: "The order price is higher than the maximum buying price.",
    30228: "The contract is in delisting: no new positions are allowed.",
    33004: "Your api key has expired.",
    34036: "Leverage not modified.",
    34040: "not modified",
    110001: "order not exists or too late to cancel",
    110003: "Order price exceeds the allowable range.",
    110004: "Wallet balance is insufficient.",
    110006: "The assets are estimated to be unable to cover the position margin.",
    110007: "ab not enough for new order",
    110008: "The order has been completed or cancelled.",
    110009: "The number of stop orders exceeds the maximum allowable limit.",
    110010: "The order has been cancelled.",
    110012: "Insufficient available balance.",
    110013: "Cannot set leverage due to risk limit level.",
    110014: "Insufficient available balance to add additional margin.",
    110017: "current position is zero, cannot fix reduce-only order qty",
    110020: "Not allowed to have more than 500 active orders.",
    110024: "You have an existing position, so the position mode cannot be switched.",
    110025: "Position mode is not modified.",
    110026: "Cross/isolated margin mode is not modified.",
    110027: "Margin is not modified.",
    110028: "Open orders exist, so you cannot change position mode.",
    110030: "Duplicate orderId.",
    110034: "There is no net position.",
    110043: "Set leverage has not been modified.",
    110044: "Available margin is insufficient.",
    110045: "Wallet balance is insufficient.",
    110061: "The number of take-profit and stop-loss orders of the position exceeds the maximum of 20.",
    110066: "Trading is currently not allowed.",
    110072: "OrderLinkedID is duplicate",
    110079: "The order is processing and can not be operated, please try again later.",
    110090: "Order placement failed as your position may exceed the max limit.",
    110092: "Trigger price must be above the current price.",
    110093: "Trigger price must be below the current price.",
    110094: "Order does not meet minimum order value 5USDT",
    110100: "The contract is in delivery: no new orders are allowed.",
    110103: "Only post-only orders are available at this stage.",
    100028: "The API cannot be accessed by unified account users.",
    170007: "Timeout waiting for response from backend server.",
    170213: "Order does not exist.",
    3400045: "Set margin mode failed",
}
_PLAIN: Final = {
    Reason.NO_PRICE: 110066,
    Reason.HALTED: 110066,
    Reason.INSUFFICIENT_MARGIN: 110007,
    Reason.REDUCE_ONLY: 110017,
    Reason.CLOSE_POSITION_FLAT: 110017,
    Reason.CLOSE_POSITION_EXISTS: 110009,
    Reason.TOO_MANY_CONDITIONALS: 110009,
    Reason.TOO_MANY_ATTACHED: 110061,
    Reason.DUPLICATE_CLIENT_ID: 110072,
    Reason.NOT_OPEN: 110001,
    Reason.NOT_MODIFIED: 34040,
    Reason.MODE_UNCHANGED: 110025,
    Reason.MODE_WITH_POSITIONS: 110024,
    Reason.MODE_WITH_ORDERS: 110028,
    Reason.LEVERAGE: 110013,
}
_PARAMETERS: Final = {
    Reason.UNKNOWN_SYMBOL: "params error: symbol invalid",
    Reason.QUANTITY_NOT_POSITIVE: "Qty invalid",
    Reason.PRECISION: "Qty or price has too many decimals",
    Reason.QUANTITY_STEP: "Qty invalid",
    Reason.QUANTITY_BELOW_MIN: "The number of contracts exceeds minimum limit allowed",
    Reason.QUANTITY_ABOVE_MAX: "The number of contracts exceeds maximum limit allowed: too large",
    Reason.QUANTITY_OF_WHOLE: "Qty of an entire-position TP/SL order can not be modified",
    Reason.PRICE_NOT_POSITIVE: "Price invalid",
    Reason.PRICE_TICK: "Price invalid",
    Reason.PRICE_ABOVE_MAX: "Price invalid",
    Reason.POSITION_SIDE: "position idx not match position mode",
    Reason.POSITION_FLAT: "can not set tp/sl/ts for zero position",
}
TRIGGER_WORDS: Final = {WorkingType.MARK_PRICE: "MarkPrice", WorkingType.CONTRACT_PRICE: "LastPrice"}


def said(code: int) -> VenueError:
    """The error of a code in the venue's own words."""
    return VenueError(code, _WORDS.get(code, f"Error {code}."))


def invalid(name: str) -> VenueError:
    """A parameter is missing or cannot be read."""
    return VenueError(PARAMETER, f"params error: {name} invalid")


def not_offered(what: str) -> VenueError:
    """The venue knows this, the paper exchange does not offer it."""
    return VenueError(PARAMETER, f"params error: the paper exchange has no {what}")


def from_refusal(refused: Refused) -> VenueError:
    """The error reply for a refusal of the engine."""
    figures = refused.figures
    match refused.reason:
        case Reason.NOTIONAL_BELOW_MIN:
            return VenueError(110094, f"Order does not meet minimum order value {refused.detail}USDT")
        case Reason.WOULD_TRIGGER:
            trigger, base = _scaled(figures["trigger"]), _scaled(figures["base"])
            if figures["rises"]:
                return VenueError(110092, f"expect Rising, but trigger_price[{trigger}] <= current[{base}]??LastPrice")
            return VenueError(110093, f"expect Falling, but trigger_price[{trigger}] >= current[{base}]??LastPrice")
        case Reason.ATTACHED_WRONG_SIDE:
            leg = "StopLoss" if figures["kind"] is ConditionalType.STOP_MARKET else "TakeProfit"
            side = "Buy" if figures["side"] is Side.BUY else "Sell"
            rule = "lower" if figures["below"] else "higher"
            watched = "MarkPrice" if figures["working_type"] is WorkingType.MARK_PRICE else "LastPrice"
            return VenueError(
                PARAMETER,
                f"{leg}:{_scaled(figures['trigger'])} set for {side} position should {rule} than "
                f"base_price:{_scaled(figures['base'])}??{watched}",
            )
    plain = _PLAIN.get(refused.reason)
    return VenueError(PARAMETER, _PARAMETERS[refused.reason]) if plain is None else said(plain)


def _scaled(price: object) -> str:
    """A price as the venue's texts have it: in ten-thousandths."""
    return f"{Decimal(str(price)) * _PRICE_SCALE:.0f}"
