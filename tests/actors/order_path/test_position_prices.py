"""An owner and the feed: what the market did before the position was filled reaches it in no range.

How one would notice it broken: an entry that took seconds to be filled begins to trail by a price from before its fill.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from actors import messages
from actors.market_feed import MarketFeed
from actors.market_feed import Wiring as FeedWiring
from actors.marks import Marks
from actors.messages import FeedState, Health, Perform, Show
from actors.position import PositionActor, Wiring
from domain.identity import OrderKind
from domain.orders import Accepted, OrderIntent, OrderReport, OrderStatus, Source
from domain.position.effects import Place
from domain.position.inputs import OutcomeHeard
from domain.position.state import Phase, Position, TrailState
from tests.actors.order_path.stage import Stage, until
from tests.actors.order_path.streams import Tape
from tests.unit.domain.conversation import ENTRY, SIZE, Conversation


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.stop()


def accepted(intent: OrderIntent, filled: bool) -> OutcomeHeard:
    """The venue's reply, now: filled whole, or resting."""
    now = datetime.now(UTC)
    report = OrderReport(
        symbol=intent.symbol, client_id=intent.client_id, exchange_id=f"x{intent.client_id[-2:]}",
        conditional=intent.kind.conditional, side=intent.side, position_side=None,
        status=OrderStatus.FILLED if filled else OrderStatus.NEW, quantity=intent.quantity,
        filled=SIZE if filled else SIZE * 0, average_price=ENTRY if filled else None,
        trigger_price=intent.trigger_price, reduce_only=intent.reduce_only, close_position=False, child_id=None,
        reason="", at=now, source=Source.REPLY,
    )  # fmt: skip
    outcome = Accepted(
        client_id=intent.client_id, exchange_id=report.exchange_id, report=report, sent_at=now, answered_at=now
    )
    return OutcomeHeard(outcome=outcome)


def test_what_passed_before_the_fill_is_in_no_range(stage: Stage) -> None:
    begun = Conversation().position.changed(entry=None, stops=(), phase=Phase.PENDING_ENTRY)
    owners, marks, tape = stage.owners, Marks(), Tape()
    owners.claim(owners.place_of(begun), begun)
    wiring = Wiring(
        account=begun.account, term=1, owners=owners, marks=marks, recorder=stage.recorder,
        hang_after_s=10, base_backoff_s=0.01, max_backoff_s=0.05,
    )  # fmt: skip
    feed = FeedWiring(
        account=begun.account, open_stream=lambda: tape, symbols=lambda: (begun.symbol,), owners=owners, marks=marks,
        recorder=stage.recorder,
    )  # fmt: skip
    gateway, name = stage.ear(messages.gateway(begun.account)), messages.position(begun.id)
    for other in (messages.JOURNAL, messages.ENTRY_DESK):
        stage.ear(other)
    stage.add(messages.market_feed(begun.account), lambda context: MarketFeed.start(context, feed))
    stage.add(name, lambda context: PositionActor.start(context, wiring, begun.id))
    stage.start()

    def asked_for(kind: OrderKind) -> OrderIntent:
        request = gateway.wait(Perform, lambda p: isinstance(p.effect, Place) and p.effect.intent.kind is kind)
        assert isinstance(request.effect, Place)
        return request.effect.intent

    def priced(price: int) -> None:
        tape.price(begun.symbol, price)
        until(lambda: (mark := marks.get(begun.account, begun.symbol)) is not None and mark.price == price)

    def now() -> Position:
        shown: Position = stage.ask(name, Show())
        return shown

    entry = asked_for(OrderKind.ENTRY)
    priced(62_000)
    stage.tell(name, accepted(entry, filled=True))
    stop = asked_for(OrderKind.STOP)
    priced(60_300)
    stage.tell(name, accepted(stop, filled=False))
    until(lambda: now().protected_once)
    assert isinstance(stage.ask(messages.market_feed(begun.account), FeedState()), Health)  # it has heard the new band
    assert now().trail.state is TrailState.INACTIVE
