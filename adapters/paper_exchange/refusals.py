"""Why the engine refuses a request, in terms of no venue; a dialect turns a reason into its own code and text."""

from enum import Enum, auto


class Reason(Enum):
    """Every ground on which the engine refuses."""

    UNKNOWN_SYMBOL = auto()
    HALTED = auto()
    NO_PRICE = auto()
    QUANTITY_NOT_POSITIVE = auto()
    PRECISION = auto()
    QUANTITY_STEP = auto()
    QUANTITY_BELOW_MIN = auto()
    QUANTITY_ABOVE_MAX = auto()
    QUANTITY_OF_WHOLE = auto()
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
    TOO_MANY_ATTACHED = auto()
    DUPLICATE_CLIENT_ID = auto()
    NOT_OPEN = auto()
    NOT_MODIFIED = auto()
    LEVERAGE = auto()
    POSITION_SIDE = auto()
    POSITION_FLAT = auto()
    ATTACHED_WRONG_SIDE = auto()
    MODE_UNCHANGED = auto()
    MODE_WITH_POSITIONS = auto()
    MODE_WITH_ORDERS = auto()


class Refused(Exception):
    """A request that the engine refuses; nothing has changed. `figures` are the numbers in it, by name."""

    def __init__(self, reason: Reason, detail: str, **figures: object) -> None:
        super().__init__(f"{reason.name}: {detail}")
        self.reason = reason
        self.detail = detail
        self.figures = figures
