"""Errors of Binance USD-M: the codes and texts of its documentation, for every ground of refusal (VENUES D.1)."""

from typing import Final

from adapters.paper_exchange.refusals import Reason, Refused


class VenueError(Exception):
    """An error reply."""

    def __init__(self, code: int, message: str, status: int = 400, *, retry_after_s: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s


_REFUSALS: Final[dict[Reason, tuple[int, str]]] = {
    Reason.UNKNOWN_SYMBOL: (-1121, "Invalid symbol."),
    Reason.HALTED: (-4140, "Invalid symbol status for opening position."),
    Reason.NO_PRICE: (-4131, "The counterparty's best price does not meet the PERCENT_PRICE filter limit."),
    Reason.QUANTITY_NOT_POSITIVE: (-4003, "Quantity less than or equal to zero."),
    Reason.PRECISION: (-1111, "Precision is over the maximum defined for this asset."),
    Reason.QUANTITY_STEP: (-1013, "Filter failure: LOT_SIZE"),
    Reason.QUANTITY_BELOW_MIN: (-1013, "Filter failure: LOT_SIZE"),
    Reason.QUANTITY_ABOVE_MAX: (-4005, "Quantity greater than max quantity."),
    Reason.PRICE_NOT_POSITIVE: (-4006, "Stop price less than or equal to zero."),
    Reason.PRICE_TICK: (-4014, "Price not increased by tick size."),
    Reason.PRICE_ABOVE_MAX: (-4002, "Price greater than max price."),
    Reason.NOTIONAL_BELOW_MIN: (
        -4164,
        "Order's notional must be no smaller than {detail} (unless you choose reduce only).",
    ),
    Reason.INSUFFICIENT_MARGIN: (-2019, "Margin is insufficient."),
    Reason.REDUCE_ONLY: (-2022, "ReduceOnly Order is rejected."),
    Reason.WOULD_TRIGGER: (-2021, "Order would immediately trigger."),
    Reason.CLOSE_POSITION_EXISTS: (
        -4130,
        "An open stop or take profit order with GTE and closePosition in the direction is existing.",
    ),
    Reason.CLOSE_POSITION_FLAT: (
        -4509,
        "Time in Force (TIF) GTE can only be used with open positions. Please ensure that positions are available.",
    ),
    Reason.TOO_MANY_CONDITIONALS: (-4045, "Reach max stop order limit."),
    Reason.DUPLICATE_CLIENT_ID: (-4116, "ClientOrderId is duplicated."),
    Reason.NOT_OPEN: (-2011, "Unknown order sent."),
    Reason.NOT_MODIFIED: (-5027, "No need to modify the order."),
    Reason.QUANTITY_OF_WHOLE: (-4137, "Quantity must be zero with closePosition equals true."),
    Reason.TOO_MANY_ATTACHED: (-4045, "Reach max stop order limit."),
    Reason.ATTACHED_WRONG_SIDE: (-2021, "Order would immediately trigger."),
    Reason.POSITION_FLAT: (-2022, "ReduceOnly Order is rejected."),
    Reason.POSITION_SIDE: (-4061, "Order's position side does not match user's setting."),
    Reason.MODE_UNCHANGED: (-4059, "No need to change position side."),
    Reason.MODE_WITH_POSITIONS: (-4068, "Position side cannot be changed if there exists position."),
    Reason.MODE_WITH_ORDERS: (-4067, "Position side cannot be changed if there exists open orders."),
    Reason.LEVERAGE: (-4028, "{detail} is not valid"),
    Reason.POSITION_SIDE: (-4061, "Order's position side does not match user's setting."),
    Reason.MODE_UNCHANGED: (-4059, "No need to change position side."),
    Reason.MODE_WITH_ORDERS: (-4067, "Position side cannot be changed if there exists open orders."),
    Reason.MODE_WITH_POSITIONS: (-4068, "Position side cannot be changed if there exists position."),
    Reason.POSITION_FLAT: (-2022, "ReduceOnly Order is rejected."),
}


def from_refusal(refused: Refused) -> VenueError:
    """The error reply for a refusal of the engine."""
    code, text = _REFUSALS[refused.reason]
    return VenueError(code, text.format(detail=refused.detail))


def unknown_symbol() -> VenueError:
    """The symbol is not listed."""
    return VenueError(-1121, "Invalid symbol.")


def mandatory(name: str) -> VenueError:
    """A parameter is missing or cannot be read."""
    return VenueError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def not_supported(what: str) -> VenueError:
    """The venue knows this, the paper exchange does not offer it."""
    return VenueError(-4084, f"Method is not allowed currently. The paper exchange has no {what}.")
