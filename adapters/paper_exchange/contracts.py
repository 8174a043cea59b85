"""The instruments that the paper exchange lists, and the filters that an order must pass."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from adapters.paper_exchange.orders import ZERO
from adapters.paper_exchange.refusals import Reason, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A linear perpetual contract settled in USDT; quantities are in the base asset, prices in USDT."""

    symbol: str
    base: str
    tick: Decimal
    step: Decimal
    min_qty: Decimal
    max_qty: Decimal
    max_market_qty: Decimal
    min_notional: Decimal
    start_price: Decimal
    max_leverage: int
    maint_margin_rate: Decimal
    max_conditionals: int
    quote: str = "USDT"
    trading: bool = True

    @property
    def price_digits(self) -> int:
        """Decimal places of the tick."""
        return _decimal_places(self.tick)

    @property
    def quantity_digits(self) -> int:
        """Decimal places of the step."""
        return _decimal_places(self.step)

    @property
    def max_price(self) -> Decimal:
        """Highest price the filter lets through."""
        return self.tick * 100_000_000

    def on_tick(self, price: Decimal) -> Decimal:
        """The price rounded to the tick, never below one tick."""
        return max((price / self.tick).quantize(Decimal(1), ROUND_HALF_UP) * self.tick, self.tick)

    def check_quantity(self, quantity: Decimal, *, largest: Decimal) -> None:
        """Refuse a quantity that the lot-size filter does not let through."""
        if quantity <= ZERO:
            raise Refused(Reason.QUANTITY_NOT_POSITIVE, f"quantity {quantity}")
        if _decimal_places(quantity) > self.quantity_digits:
            raise Refused(Reason.PRECISION, f"quantity {quantity} has more than {self.quantity_digits} decimals")
        if quantity < self.min_qty:
            raise Refused(Reason.QUANTITY_BELOW_MIN, f"quantity {quantity} < {self.min_qty}")
        if quantity > largest:
            raise Refused(Reason.QUANTITY_ABOVE_MAX, f"quantity {quantity} > {largest}")
        if quantity % self.step:
            raise Refused(Reason.QUANTITY_STEP, f"quantity {quantity} is no multiple of {self.step}")

    def check_price(self, price: Decimal) -> None:
        """Refuse a price that the price filter does not let through."""
        if price <= ZERO:
            raise Refused(Reason.PRICE_NOT_POSITIVE, f"price {price}")
        if _decimal_places(price) > self.price_digits:
            raise Refused(Reason.PRECISION, f"price {price} has more than {self.price_digits} decimals")
        if price % self.tick:
            raise Refused(Reason.PRICE_TICK, f"price {price} is no multiple of {self.tick}")
        if price > self.max_price:
            raise Refused(Reason.PRICE_ABOVE_MAX, f"price {price} > {self.max_price}")


def _decimal_places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _contract(
    symbol: str, tick: str, step: str, start: str, *, largest: str, min_notional: str = "5", max_leverage: int = 75
) -> Contract:
    step_size = Decimal(step)
    return Contract(
        symbol=symbol,
        base=symbol.removesuffix("USDT"),
        tick=Decimal(tick),
        step=step_size,
        min_qty=step_size,
        max_qty=Decimal(largest) * 8,
        max_market_qty=Decimal(largest),
        min_notional=Decimal(min_notional),
        start_price=Decimal(start),
        max_leverage=max_leverage,
        maint_margin_rate=Decimal("0.004") if max_leverage > 100 else Decimal("0.0065"),
        max_conditionals=10,
    )


_LISTED: Final = (
    _contract("BTCUSDT", "0.10", "0.001", "64000", largest="120", min_notional="100", max_leverage=125),
    _contract("ETHUSDT", "0.01", "0.001", "3100", largest="2000", min_notional="20", max_leverage=125),
    _contract("SOLUSDT", "0.0100", "0.01", "152", largest="50000"),
    _contract("BNBUSDT", "0.010", "0.01", "590", largest="2000"),
    _contract("XRPUSDT", "0.0001", "0.1", "2.2100", largest="2000000"),
    _contract("DOGEUSDT", "0.000010", "1", "0.162", largest="30000000"),
    _contract("ADAUSDT", "0.00010", "1", "0.6300", largest="2000000"),
    _contract("AVAXUSDT", "0.0010", "1", "21.500", largest="50000"),
    _contract("LINKUSDT", "0.001", "0.01", "15.800", largest="50000"),
    _contract("LTCUSDT", "0.01", "0.001", "96.00", largest="10000"),
    _contract("DOTUSDT", "0.001", "0.1", "4.200", largest="200000"),
    _contract("BCHUSDT", "0.01", "0.001", "510.00", largest="2500"),
    _contract("1000PEPEUSDT", "0.0000001", "1", "0.0093000", largest="200000000"),
)


def listed_contracts() -> dict[str, Contract]:
    """The contracts that are listed by default, by symbol."""
    return {contract.symbol: contract for contract in _LISTED}


def contract_from_price(symbol: str, price: Decimal) -> Contract:
    """A contract for a symbol that is not listed (it came with a tape): about five significant digits of price."""
    magnitude = price.adjusted()
    tick = Decimal(1).scaleb(magnitude - 4)
    step = Decimal(1).scaleb(min(0, -magnitude))
    return _contract(symbol, f"{tick:f}", f"{step:f}", f"{price:f}", largest="10000000")
