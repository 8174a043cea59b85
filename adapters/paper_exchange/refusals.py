"""Why the engine refuses a request, in terms of no venue; a dialect turns a reason into its own code and text."""

from enum import Enum, auto


class Reason(Enum):
    """Every ground on which the engine refuses."""

    UNKNOWN_SYMBOL = auto()
    NO_PRICE = auto()
    QUANTITY_NOT_POSITIVE = auto()
    PRECISION = auto()
    QUANTITY_STEP = auto()
    QUANTITY_BELOW_MIN = auto()
    QUANTITY_ABOVE_MAX = auto()
    PRICE_NOT_POSITIVE = auto()
    PRICE_TICK = auto()
    PRICE_ABOVE_MAX = auto()
    NOTIONAL_BELOW_MIN = auto()
    INSUFFICIENT_MARGIN = auto()
    REDUCE_ONLY = auto()
    WOULD_TRIGGER = auto()
    CLOSE_POSITION_EXISTS = auto()
    CLOSE_POSITION_FLAT = auto()
    TOO_MANY_CONDITIONALS = auto()
    DUPLICATE_CLIENT_ID = auto()
    NOT_OPEN = auto()
    LEVERAGE = auto()


class Refused(Exception):
    """A request that the engine refuses; nothing has changed."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.name}: {detail}")
        self.reason = reason
        self.detail = detail
