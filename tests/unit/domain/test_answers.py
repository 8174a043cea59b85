"""The table `machine.ANSWERS`, walked: every input in every phase, heard once and heard twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.identity import Epoch, OrderKind
from domain.judgement.aging import AgingRules
from domain.judgement.levels import RiskAction, RiskLevel
from domain.orders import (
    Accepted,
    CancelOutcome,
    CancelResult,
    Found,
    NoAnswer,
    NotFound,
    OrderStatus,
    Rejected,
    RejectReason,
    Unknown,
)
from domain.position import machine
from domain.position.effects import Cancel, Place
from domain.position.inputs import (
    AgingChanged,
    AnswerHeard,
    Begin,
    CancelHeard,
    CandlesHeard,
    CloseWanted,
    FillHeard,
    FillsListed,
    Input,
    InstrumentHeard,
    OrderHeard,
    OutcomeHeard,
    PositionHeard,
    PriceRange,
    QuestionFailed,
    Recovered,
    Release,
    RiskHeard,
    RulesChanged,
    StopWanted,
    TrailingWanted,
    View,
    Wake,
)
from domain.position.plan import Protection, TrailingRules
from domain.position.state import CloseReason, OrderState, Phase, Position
from tests.unit.domain.conversation import ENTRY, SIZE, Conversation, protected
from tests.unit.domain.samples import BTC, D, intent


def in_phase(phase: Phase) -> Position:
    """A position in a phase, come to it as positions do."""
    talk = Conversation()
    entry = talk.placed(OrderKind.ENTRY)
    if phase is Phase.PENDING_ENTRY:
        return talk.position
    if phase is Phase.ENTRY_PLACED:
        talk.accept(entry)
        return talk.position
    if phase is Phase.PENDING_SL:
        talk.accept(entry, filled=SIZE)
        return talk.position
    talk, _ = protected()
    if phase is Phase.ACTIVE:
        return talk.position
    talk.hear(CloseWanted(reason=CloseReason.OPERATOR))
    return talk.position if phase is Phase.CLOSING else replace(talk.position, phase=phase)


def test_the_phases_are_what_they_are_called() -> None:
    for phase in Phase:
        assert in_phase(phase).phase is phase


TALK, STOP = protected()
MARK = PriceRange(last=D(61_000), low=D(60_900), high=D(61_000), at=TALK.now)
LATER = TALK.now + timedelta(seconds=1)
REF = TALK.ref(STOP)
FACTS: dict[str, Input] = {
    "accepted": OutcomeHeard(
        outcome=Accepted(client_id=STOP.client_id, exchange_id="9", report=None, sent_at=LATER, answered_at=LATER)
    ),
    "rejected": OutcomeHeard(
        outcome=Rejected(client_id=STOP.client_id, reason=RejectReason.OTHER, code="", text="", sent_at=LATER)
    ),
    "unknown": OutcomeHeard(
        outcome=Unknown(client_id=STOP.client_id, text="", sent_at=LATER, absence_proof_at=LATER)
    ),
    "a stranger's outcome": OutcomeHeard(
        outcome=Rejected(client_id=intent().client_id, reason=RejectReason.OTHER, code="", text="", sent_at=LATER)
    ),
    **{
        f"cancel {result}": CancelHeard(
            outcome=CancelOutcome(ref=REF, result=result, code="", text="", answered_at=LATER)
        )
        for result in CancelResult
    },
    **{f"order {status}": OrderHeard(report=TALK.order(STOP, status, child="77")) for status in OrderStatus},
    "fill of a stranger": FillHeard(fill=TALK.execution("900", STOP.side, D("0.002"), ENTRY)),
    "fill of a child": FillHeard(fill=TALK.execution("77", STOP.side, D("0.002"), ENTRY)),
    "position": PositionHeard(report=TALK.row(SIZE, LATER)),
    "position flat": PositionHeard(report=TALK.row(D(0), LATER)),
    "price": MARK,
    "price through the stop": replace(MARK, last=D(50_000), low=D(50_000)),
    "fills listed": FillsListed(fills=(TALK.execution("901", STOP.side, D("0.001"), ENTRY),)),
    "nothing listed": FillsListed(fills=()),
    "found": AnswerHeard(answer=Found(ref=REF, report=TALK.order(STOP, OrderStatus.ACK))),
    "not found": AnswerHeard(answer=NotFound(ref=REF, asked_at=LATER)),
    "wake": Wake(),
    "candles": CandlesHeard(low=D(59_900), high=D(60_100)),
    "begin": Begin(),
    "stop wanted": StopWanted(price=D(58_000)),
    "trailing wanted": TrailingWanted(rules=TrailingRules(enabled=False)),
    "tighter rules": RulesChanged(
        old_protection=Protection(),
        protection=Protection(stop_pct=D("0.5")),
        old_trailing=TrailingRules(),
        trailing=TrailingRules(callback_pct=D("0.2")),
    ),
    "aging": AgingChanged(
        rules=AgingRules(max_age_s=60, step_s=60, step_pct=D(1), max_loss_pct=D(2), fee_pct=D("0.05"))
    ),
    "risk": RiskHeard(
        level=RiskLevel.HIGH,
        score=D(70),
        dangers=(("stop", D(90)),),
        action=RiskAction.TIGHTEN,
        tighten_pct=D(50),
        fraction=D("0.5"),
        cooldown_s=60,
    ),
    "close": CloseWanted(reason=CloseReason.SIGNAL),
    "release": Release(),
    "instrument": InstrumentHeard(instrument=replace(BTC, tick=D("0.01"))),
}
COUNTED: dict[str, Input] = {  # heard twice these say something twice: a second reading, a second wish
    "part close": CloseWanted(reason=CloseReason.OPERATOR, fraction=D("0.5")),
    "position asked": PositionHeard(report=TALK.row(D("0.005"), LATER), asked_at=LATER),
    "view": View(report=TALK.row(SIZE, LATER), orders=(TALK.order(STOP, OrderStatus.ACK),), asked_at=LATER),
    "view without the stop": View(report=TALK.row(SIZE, LATER), orders=(), asked_at=LATER),
    "no answer": AnswerHeard(answer=NoAnswer(ref=REF, text="")),
    "question failed": QuestionFailed(what="position", text=""),
    "recovered": Recovered(epoch=Epoch(2, 1)),
}
INPUTS = FACTS | COUNTED


def test_every_kind_of_input_has_an_answer_and_a_sample() -> None:
    assert {type(heard) for heard in INPUTS.values()} == set(machine.ANSWERS)


def known(p: Position) -> list[tuple[str, OrderState]]:
    """What is known of each order; how often it was asked about is another matter."""
    return [(order.client_id, order.state) for order in (*p.stops, *p.exits)]


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("name", list(INPUTS))
def test_a_cell(name: str, phase: Phase) -> None:
    position, heard = in_phase(phase), INPUTS[name]
    now = LATER + timedelta(seconds=1)
    once = machine.handle(position, heard, now)
    if phase not in machine.ANSWERS[type(heard)].phases:
        assert (once.position, once.effects, once.happenings, once.record) == (position, (), (), False)
    if phase.final:
        assert once.position is position
    assert once.record is (once.position.version == position.version + 1)
    assert not once.record or once.position.version > position.version
    twice = machine.handle(once.position, heard, now)
    if name in FACTS:
        assert not [e for e in twice.effects if isinstance(e, Place | Cancel)]
        assert twice.trades == ()
        assert twice.position.fills == once.position.fills
        assert known(twice.position) == known(once.position)
        assert twice.position.phase is once.position.phase


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase.final])
@pytest.mark.parametrize("name", list(INPUTS))
def test_nothing_moves_what_is_over(name: str, phase: Phase) -> None:
    position = in_phase(phase)
    said = machine.handle(position, INPUTS[name], LATER)
    assert said.position is position
    assert said.wake_at is None


def test_it_is_a_function() -> None:
    for name, heard in INPUTS.items():
        position = in_phase(Phase.ACTIVE)
        assert machine.handle(position, heard, LATER) == machine.handle(position, heard, LATER), name
