"""A fee that was paid in another coin: converted by a price of that moment, or counted apart; never as if it were USDT.

How one would notice it broken: a position that paid 0.01 BNB shows a fee of 0.01 USDT.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from actors import messages
from actors.marks import Mark, Marks
from actors.messages import Show, Write
from actors.position import PositionActor, Wiring
from actors.views import position_view
from domain.catalogue import EventType
from domain.instrument import Side
from domain.orders import Fill
from domain.position import ledger
from domain.position.inputs import FillHeard, FillsListed
from domain.position.state import Position
from persistence.codec import position_from_json, position_to_json
from tests.actors.order_path.stage import Heard, Stage, until
from tests.unit.domain.conversation import protected

D = Decimal


class Floor:
    """The owner of one position, and what is known of prices."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.marks = Marks()
        self.talk, _ = protected()
        position = self.talk.position
        self.name = messages.position(position.id)
        stage.owners.claim(stage.owners.place_of(position), position)
        for other in (messages.gateway("main"), messages.market_feed("main"), messages.ENTRY_DESK):
            stage.ear(other)
        self.journal: Heard = stage.ear(messages.JOURNAL)
        wiring = Wiring(
            account="main", term=1, owners=stage.owners, marks=self.marks, recorder=stage.recorder,
            hang_after_s=10, base_backoff_s=0.01, max_backoff_s=0.05,
        )  # fmt: skip
        stage.add(self.name, lambda context: PositionActor.start(context, wiring, position.id))
        stage.start()

    def price(self, symbol: str, price: str, at: datetime) -> None:
        self.marks.put("main", symbol, Mark(price=D(price), at=at, heard_at=at))

    def fill(self, **more: Any) -> Fill:
        """An execution that closes some of the position."""
        return self.talk.execution("77", Side.SELL, D("0.001"), D(60_000), **more)

    def shown(self) -> Position:
        shown: Position = self.stage.ask(self.name, Show())
        return shown


@pytest.fixture
def floor() -> Iterator[Floor]:
    stage = Stage()
    yield Floor(stage)
    stage.stop()


def test_converted_where_a_price_of_that_moment_is_known_and_else_apart(floor: Floor) -> None:
    now = datetime.now(UTC)
    floor.price("BNBUSDT", "650", now)
    bnb = {"fee": D("0.01"), "fee_currency": "BNB", "at": now}
    listed = (
        floor.fill(**bnb),
        floor.fill(**{**bnb, "at": now - timedelta(seconds=61)}),  # the price is not of its time
        floor.fill(**{**bnb, "fee_currency": "MNT", "fee": D(2)}),  # nobody knows one
        floor.fill(**{**bnb, "fee_currency": "MNT", "fee": D(0)}),
    )
    floor.stage.tell(floor.name, FillHeard(fill=listed[0]))
    floor.stage.tell(floor.name, FillsListed(fills=(*listed, floor.fill(fee=D("0.5"), at=now))))
    until(lambda: sum(len(fills.trades) for fills in floor.shown().fills) == 5, what="five executions")
    p = floor.shown()
    assert ledger.fees(p) == D("7.00")  # 6.50 of BNB and 0.5, each once
    assert ledger.fees_apart(p) == {"BNB": D("0.01"), "MNT": D(2)}
    assert position_view(p, now)["fees_apart"] == {"BNB": D("0.01"), "MNT": D(2)}
    assert position_from_json(position_to_json(p)) == p
    writes = floor.journal.count(Write, 2, lambda write: bool(write.record.trades))  # one a message
    said = [e.data for write in writes for e in write.record.events if e.type is EventType.FILL]
    assert [(e["fee"], e["fee_currency"], e["fee_usdt"]) for e in said] == [
        ("0.01", "BNB", "6.5"), ("0.01", "BNB", None), ("2", "MNT", None), ("0", "MNT", "0"), ("0.5", "USDT", "0.5"),
    ]  # fmt: skip
    trades = [trade.fill for write in writes for trade in write.record.trades]
    assert [fill.fee_usdt for fill in trades] == [D("6.50"), None, None, D(0), D("0.5")]
