"""A trader's desk for hedge mode and attached stops: the short calls of `Desk`, by position side."""

from decimal import Decimal

from adapters.paper_exchange.orders import (
    AlgoOrder,
    AlgoStatus,
    ConditionalType,
    Event,
    PositionSide,
    Side,
    WorkingType,
)
from adapters.paper_exchange.requests import (
    CLEAR,
    Amendment,
    Attachment,
    Clear,
    ConditionalRequest,
    MarketRequest,
    TradingStop,
)
from tests.unit.paper_exchange.desk import Desk


def attachment(trigger: str | None, quantity: str | None = None, *, last: bool = False) -> Attachment | Clear | None:
    """None leaves a leg alone, "0" clears it."""
    if trigger is None:
        return None
    if trigger == "0":
        return CLEAR
    return Attachment(
        trigger_price=Decimal(trigger),
        working_type=WorkingType.CONTRACT_PRICE if last else WorkingType.MARK_PRICE,
        quantity=None if quantity is None else Decimal(quantity),
    )


class Hedger(Desk):
    """BTCUSDT at 60,000; `hedge` gives the account a long and a short side."""

    def __init__(self, *, hedge: bool = False, partial_fills: int = 0, seed: int = 1) -> None:
        super().__init__(partial_fills=partial_fills, seed=seed)
        if hedge:
            self.took(self.engine.set_position_mode(hedge=True))

    def trade(
        self,
        side: str,
        quantity: str,
        position_side: str = "BOTH",
        *,
        stop: str | None = None,
        profit: str | None = None,
        reduce: bool = False,
    ) -> list[Event]:
        legs = [attachment(stop), attachment(profit)]
        assert all(not isinstance(leg, Clear) for leg in legs)
        asked = MarketRequest(
            symbol="BTCUSDT",
            side=Side(side),
            quantity=Decimal(quantity),
            reduce_only=reduce,
            position_side=PositionSide(position_side),
            stop_loss=legs[0] if isinstance(legs[0], Attachment) else None,
            take_profit=legs[1] if isinstance(legs[1], Attachment) else None,
        )
        return self.took(self.engine.place_market(self.now, asked))

    def rest(
        self,
        side: str,
        trigger: str,
        quantity: str,
        position_side: str = "BOTH",
        *,
        profit: bool = False,
        reduce: bool = True,
    ) -> AlgoOrder:
        asked = ConditionalRequest(
            symbol="BTCUSDT",
            side=Side(side),
            type=ConditionalType.TAKE_PROFIT_MARKET if profit else ConditionalType.STOP_MARKET,
            trigger_price=Decimal(trigger),
            quantity=Decimal(quantity),
            working_type=WorkingType.MARK_PRICE,
            reduce_only=reduce,
            position_side=PositionSide(position_side),
        )
        (algo,) = self.took(self.engine.place_conditional(self.now, asked))
        assert isinstance(algo, AlgoOrder)
        return algo

    def protect(
        self,
        stop: str | None = None,
        profit: str | None = None,
        position_side: str = "BOTH",
        *,
        part: str | None = None,
        last: bool = False,
    ) -> list[Event]:
        asked = TradingStop(
            symbol="BTCUSDT",
            position_side=PositionSide(position_side),
            stop_loss=attachment(stop, part, last=last),
            take_profit=attachment(profit, part, last=last),
        )
        return self.took(self.engine.set_trading_stop(self.now, asked))

    def amend(self, algo: AlgoOrder, trigger: str | None = None, quantity: str | None = None) -> AlgoOrder:
        asked = Amendment(
            trigger_price=None if trigger is None else Decimal(trigger),
            quantity=None if quantity is None else Decimal(quantity),
        )
        (changed,) = self.took(self.engine.amend_conditional(self.now, algo.algo_id, asked))
        assert isinstance(changed, AlgoOrder)
        return changed

    def held(self, position_side: str = "BOTH") -> Decimal:
        return self.book.position("BTCUSDT", PositionSide(position_side)).quantity

    def standing(self, position_side: str = "BOTH", *, profit: bool = False) -> AlgoOrder | None:
        kind = ConditionalType.TAKE_PROFIT_MARKET if profit else ConditionalType.STOP_MARKET
        return self.book.attached("BTCUSDT", PositionSide(position_side), kind)

    def resting_attached(self) -> list[AlgoOrder]:
        return [a for a in self.book.open_algos.values() if a.attached and a.status is AlgoStatus.NEW]
