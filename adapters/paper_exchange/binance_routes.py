"""How a Binance REST endpoint is declared: its right, its weight, its handler."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from adapters.paper_exchange.binance_params import Params


class Security(Enum):
    """What a request must carry."""

    NONE = auto()
    KEY = auto()
    SIGNED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint; `mutates` makes the reply wait for the disk; `orders` counts it against the order limits.

    `weight_by_limit`: the usual length of a page, where a page is paid by its length.
    """

    handler: Callable[[Params], Any]
    weight: int = 1
    weight_without_symbol: int | None = None
    weight_by_limit: int | None = None
    security: Security = Security.NONE
    mutates: bool = False
    orders: int = 0

    def cost(self, params: Params) -> int:
        """Request weight of a call with these parameters."""
        if self.weight_without_symbol is not None and "symbol" not in params:
            return self.weight_without_symbol
        if self.weight_by_limit is not None:
            limit = params.integer_or("limit", self.weight_by_limit)
            return next((weight for most, weight in ((99, 1), (499, 2), (1000, 5)) if limit <= most), 10)
        return self.weight


Routes = Mapping[tuple[str, str], Endpoint]
