"""A stop-out is written down as one, whatever is heard of it first, and whatever is never heard.

The news of one touch come in any order: that the stop triggered, what its order executed, that the position is flat.
After a broken stream only what the venue answers is left: its list of executions, and for an order of ours the order.

How one would notice it broken: a life that the stop ended is told as closed by somebody outside, without the stop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, permutations

import pytest

from domain.catalogue import Happening
from domain.instrument import PositionSide
from domain.orders import CancelResult, Fill, OrderIntent, OrderReport, OrderStatus
from domain.position.effects import AskFills, AskPosition, Cancel, Find
from domain.position.inputs import FillHeard, FillsListed, OrderHeard, Wake
from domain.position.plan import MoveStyle, VenueRules
from domain.position.state import CloseReason, Phase
from tests.unit.domain.conversation import ENTRY, SIZE, closing, protected
from tests.unit.domain.samples import D
from tests.unit.domain.test_moves_by_venue import attached, moving, row

NEWS = ("triggered", "executed", "flat")
# A trigger alone is no end: what is still open a second later is closed by us.
ORDERS = chain.from_iterable(permutations(NEWS, count) for count in range(1, len(NEWS) + 1))
HEARD = tuple(order for order in ORDERS if order != ("triggered",))
OWN = VenueRules()
ON_POSITION = VenueRules(attached_stop=True, move=MoveStyle.ATTACHED)
CHILD = "v9"
LONG = PositionSide.LONG


class StopOut:
    """A protected position whose stop is touched at the venue, and everything that is said of it from then on."""

    def __init__(self, venue: VenueRules, side: PositionSide = LONG, *, trailed: bool = False) -> None:
        self.venue = venue
        self.stop: OrderIntent | None = None
        if venue is ON_POSITION:
            self.talk, _ = attached(side)
        else:
            self.talk, self.stop = protected(side)
        if trailed:
            move = moving(self.talk)
            self.talk.accept(move)
            self.stop = move
        self.trigger = max(s.trigger * side.sign for s in self.talk.position.stops if s.covers) * side.sign
        talk = self.talk
        execution = talk.execution(CHILD, side.closing, SIZE, self.trigger, by_attached_stop=venue is ON_POSITION)
        self.execution: Fill = execution
        self.said: list[Happening] = []

    def hear(self, news: str) -> None:
        """One piece of news, and the venue's answers to what is asked because of it."""
        talk = self.talk
        match news:
            case "triggered":
                talk.hear(OrderHeard(report=self._order()))
            case "executed":
                talk.hear(FillHeard(fill=self.execution))
            case "flat":
                talk.size(D(0))
        self.answer()

    def finish(self) -> None:
        """The venue goes on answering until the life is over."""
        for _ in range(60):
            if self.talk.position.phase.final:
                return
            assert self.talk.last.wake_at is not None
            ahead = max((self.talk.last.wake_at - self.talk.now).total_seconds(), 0.001)
            self.talk.hear(Wake(), ahead)
            self.answer()
        raise AssertionError(f"no end: {self.talk.position}")

    def _order(self) -> OrderReport:
        if self.stop is not None and self.venue is OWN:
            return self.talk.order(self.stop, OrderStatus.TRIGGERED, child=CHILD)
        _, likewise = protected(self.talk.side)
        shown = self.talk.order(likewise, OrderStatus.TRIGGERED, child=CHILD)
        return replace(shown, client_id=None, exchange_id=CHILD, trigger_price=self.trigger, attached=True)

    def answer(self) -> None:
        """Whatever is asked is answered as it is: flat, the order triggered, its execution listed."""
        asked = True
        while asked:
            self.said += self.talk.last.happenings
            asked = False
            for effect in self.talk.last.effects:
                match effect:
                    case Cancel():
                        self.talk.cancelled(effect, CancelResult.GONE)
                    case Find() if self.stop is not None and not effect.ref.attached:
                        self.talk.found(self.stop, OrderStatus.TRIGGERED, child=CHILD)
                    case AskFills():
                        self.talk.hear(FillsListed(fills=(self.execution,)))
                    case AskPosition():
                        self.talk.size(D(0), asked=True)
                    case _:
                        continue
                asked = True
                break


def told(out: StopOut) -> Iterator[Happening]:
    """What was said of the stop's firing."""
    return (each for each in out.said if each.type.value == "stop_loss_triggered")


@pytest.mark.parametrize("heard", HEARD, ids="-".join)
@pytest.mark.parametrize("venue", [OWN, ON_POSITION], ids=["order", "on the position"])
def test_whatever_is_heard_first_the_stop_fired_once_and_ended_it(venue: VenueRules, heard: tuple[str, ...]) -> None:
    out = StopOut(venue)
    for news in heard:
        out.hear(news)
    out.finish()
    assert out.talk.position.phase is Phase.CLOSED
    assert out.talk.position.close_reason is CloseReason.STOP_LOSS
    assert [each.data["stop_price"] for each in told(out)] == ["58800"]
    assert [each.data["child_order_id"] for each in told(out)] == [CHILD]


@pytest.mark.parametrize("side", list(PositionSide))
@pytest.mark.parametrize("heard", [("flat",), ("executed", "flat"), ("flat", "executed", "triggered")], ids="-".join)
def test_a_trailing_stop_on_the_position_is_named_by_its_last_place(heard: tuple[str, ...], side: PositionSide) -> None:
    out = StopOut(ON_POSITION, side, trailed=True)
    for news in heard:
        out.hear(news)
    out.finish()
    assert out.talk.position.close_reason is CloseReason.TRAILING_STOP
    assert [each.data["stop_price"] for each in told(out)] == [str(out.trigger.normalize().to_integral_value())]


def test_an_exit_of_ours_is_no_stop_out() -> None:
    talk, _ = attached(LONG)
    talk.hear(closing())
    talk.accept(talk.placed(), filled=SIZE)
    talk.size(D(0))
    talk.listed()
    assert talk.position.close_reason is CloseReason.OPERATOR
    assert talk.position.stops[0].child_id is None


def test_a_stop_of_an_earlier_position_on_the_symbol_fired_for_that_one() -> None:
    talk, _ = attached(LONG)
    before = talk.execution("v1", LONG.closing, SIZE, ENTRY, by_attached_stop=True)
    early = replace(before, at=talk.position.opened_at.replace(year=2020))
    talk.hear(FillsListed(fills=(early,)))
    assert [s.covers for s in talk.position.stops] == [True]
    assert talk.position.stops[0].child_id is None


def test_a_part_that_the_stop_has_sold_says_that_it_fired_and_what_is_left_is_watched() -> None:
    talk, _ = attached(LONG)
    part = talk.execution(CHILD, LONG.closing, SIZE / 2, D(58_790), by_attached_stop=True)
    talk.hear(FillHeard(fill=part))
    talk.hear(row(talk, SIZE / 2, D(0)))
    assert talk.position.phase is Phase.CLOSING
    talk.wait(2)
    assert talk.position.close_wanted is CloseReason.STOP_STUCK


def test_what_the_stop_did_while_nobody_listened_is_learned_from_the_list() -> None:
    """A restart after the fact: neither order nor stream will ever tell."""
    out = StopOut(ON_POSITION)
    out.talk.restart()
    out.answer()
    for _ in range(3):
        out.talk.view(D(0))
        out.answer()
    out.finish()
    assert out.talk.position.close_reason is CloseReason.STOP_LOSS
    assert len(list(told(out))) == 1
