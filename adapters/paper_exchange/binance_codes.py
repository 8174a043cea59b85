"""Every error code of Binance USD-M that a client must know (VENUES D.1): its HTTP status and the venue's words."""

from typing import Final

from adapters.paper_exchange.binance_errors import VenueError
from adapters.paper_exchange.wire import Rejection

_BAD_REQUEST: Final = 400
_STATUS: Final = {
    -1000: 500,
    -1001: 503,
    -1003: 429,
    -1006: 500,
    -1007: 408,
    -1008: 503,
    -1015: 429,
    -2014: 401,
    -2015: 401,
}
_BANNED: Final = 418
_WORDS: Final = {
    -1000: "An unknown error occured while processing the request.",
    -1001: "Internal error; unable to process your request. Please try again.",
    -1002: "You are not authorized to execute this request.",
    -1003: "Too many requests; please use the websocket for live updates.",
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1007: "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    -1008: "Server is currently overloaded with other requests. Please try again in a few minutes.",
    -1013: "Filter failure: LOT_SIZE",
    -1015: "Too many new orders.",
    -1021: "Timestamp for this request is outside of the recvWindow.",
    -1022: "Signature for this request is not valid.",
    -1102: "A mandatory parameter was not sent, was empty/null, or malformed.",
    -1106: "A parameter was sent when not required.",
    -1111: "Precision is over the maximum defined for this asset.",
    -1116: "Invalid orderType.",
    -1121: "Invalid symbol.",
    -1125: "This listenKey does not exist.",
    -1128: "Combination of optional parameters invalid.",
    -1130: "Data sent for a parameter is not valid.",
    -2010: "NEW_ORDER_REJECTED",
    -2011: "Unknown order sent.",
    -2013: "Order does not exist.",
    -2014: "API-key format invalid.",
    -2015: "Invalid API-key, IP, or permissions for action.",
    -2017: "API Keys are locked on this account.",
    -2018: "Balance is insufficient.",
    -2019: "Margin is insufficient.",
    -2020: "Unable to fill.",
    -2021: "Order would immediately trigger.",
    -2022: "ReduceOnly Order is rejected.",
    -2023: "User in liquidation mode now.",
    -2024: "Position is not sufficient.",
    -2025: "Reach max open order limit.",
    -2027: "Exceeded the maximum allowable position at current leverage.",
    -2028: "Leverage is smaller than permitted: insufficient margin balance.",
    -4045: "Reach max stop order limit.",
    -4046: "No need to change margin type.",
    -4047: "Margin type cannot be changed if there exists open orders.",
    -4048: "Margin type cannot be changed if there exists position.",
    -4059: "No need to change position side.",
    -4061: "Order's position side does not match user's setting.",
    -4062: "Invalid or improper reduceOnly value.",
    -4067: "Position side cannot be changed if there exists open orders.",
    -4068: "Position side cannot be changed if there exists position.",
    -4116: "ClientOrderId is duplicated.",
    -4117: "Stop order is in triggering process. Please try again later.",
    -4118: "ReduceOnly Order Failed. Please check your existing position and open orders.",
    -4120: "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
    -4130: "An open stop or take profit order with GTE and closePosition in the direction is existing.",
    -4131: "The counterparty's best price does not meet the PERCENT_PRICE filter limit.",
    -4137: "Quantity must be zero with closePosition equals true.",
    -4138: "Reduce only must be true with closePosition equals true.",
    -4140: "Invalid symbol status for opening position.",
    -4141: "Symbol is closed.",
    -4142: "REJECT: take profit or stop order will be triggered immediately.",
    -4164: "Order's notional must be no smaller than 5 (unless you choose reduce only).",
    -4192: "Trade forbidden due to Cooling-off Period.",
    -4400: "Futures Trading Quantitative Rules violated, only reduceOnly order is allowed, please try again later.",
    -5021: "Due to the order could not be filled immediately, the FOK order has been rejected.",
    -5022: "Due to the order could not be executed as maker, the Post Only order will be rejected.",
    -5028: "Timestamp for this request is outside of the ME recvWindow.",
    -20124: "Invalid algo id or it has been completed.",
    -20132: "Client algo id is duplicated.",
}


def ordered_error(rejection: Rejection, now: int) -> VenueError:
    """The error reply to an ordered rejection, in the venue's words unless it brings its own."""
    status = rejection.status or _STATUS.get(rejection.code, _BAD_REQUEST)
    words = rejection.message or _WORDS.get(rejection.code, "Unknown error.")
    if status == _BANNED and not rejection.message:
        words = banned_words(now + (rejection.retry_after_s or 0) * 1000)
    return VenueError(rejection.code, words, status, retry_after_s=rejection.retry_after_s)


def banned_words(until: int) -> str:
    """What a banned client is told; `until` is venue ms."""
    return f"Way too many requests; IP banned until {until}. Please use the websocket for live updates to avoid bans."


def known_codes() -> tuple[int, ...]:
    """The codes with words of their own."""
    return tuple(_WORDS)
