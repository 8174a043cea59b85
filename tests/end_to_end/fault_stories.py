"""What is done and what has to be true, for each fault that befalls one symbol: the stories of the table of faults."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from tests.end_to_end.fault_stage import Act, Stage
from tests.oracle.facts import ZERO
from tests.oracle.reader import AlgoLine

Story = Callable[[Stage], None]

# Entries


def entry_that_counts(command: str, **body: object) -> Story:
    """The entry goes through, whatever its reply was: one position, one stop."""

    def story(stage: Stage) -> None:
        stage.fault(command, Act.ENTRY, **body)
        stage.open()
        stage.protected()
        assert len(stage.lives()) == 1
        stage.no_event("position_failed", "rollback_started")

    return story


def entry_that_never_was(command: str, **body: object) -> Story:
    """The entry is lost: it is asked about, given up, and never sent again."""

    def story(stage: Stage) -> None:
        stage.fault(command, Act.ENTRY, **body)
        stage.order()
        stage.flat("FAILED")
        stage.event("position_failed", "info")
        assert stage.lives() == []

    return story


def entry_in_doubt(command: str, act: Act, **body: object) -> Story:
    """The reply to the entry is lost, and so is what would have told its fate; nothing is believed too soon."""

    def story(stage: Stage) -> None:
        stage.fault("drop_reply", Act.ENTRY)
        stage.fault(command, act, **body)
        late = (Act.ORDERS, Act.STOPS, Act.POSITIONS) if stage.venue.attaches else (Act.ORDERS, Act.POSITIONS)
        for stream in late:
            stage.fault("late", stream, ms=2_500, for_ms=2_000)
        stage.open()
        stage.protected()
        assert len(stage.lives()) == 1

    return story


def entry_cut(stage: Stage) -> None:
    """The entry is filled in part: the stop has the size of what was filled."""
    stage.fault("cut_fill", Act.MARKET, share=40, where={"reduce_only": ""})
    stage.order()
    stage.state("ACTIVE")
    shown = stage.protected()
    (life,) = stage.lives()
    assert life.entered == Decimal(shown["quantity"])


def entry_held(stage: Stage) -> None:
    """The entry is acknowledged now and filled later."""
    stage.fault("hold_fill", Act.MARKET, ms=1_500, where={"reduce_only": ""})
    stage.open()
    stage.protected()


# Stops


def first_stop(command: str, *, event: tuple[str, str] = ("", ""), **body: object) -> Story:
    """Something befalls the first request that sets a stop: there is one right stop all the same.

    Where an entry takes its stop along, the first request of its own is the one after a human took the stop away.
    """

    def story(stage: Stage) -> None:
        if stage.venue.attaches:
            stage.open()
            stage.fault(command, Act.STOP, **body)
            stage.lose_stop_by_hand()
            stage.event("stop_loss_lost", "warning")
        else:
            stage.fault(command, Act.STOP, **body)
            stage.order()
        if event[0]:
            stage.event(*event)
        stage.event("position_protected", "info")
        stage.protected()

    return story


def stop_refused_for_good(stage: Stage) -> None:
    """Every try of a stop is refused: closed at market, and said so loudly."""
    code, text = (110061, "Too many stops.") if stage.venue.attaches else (-4045, "Reach max stop order limit.")
    if stage.venue.attaches:
        stage.open()
    stage.fault("reject", Act.STOP, code=code, msg=text, for_ms=20_000)
    if stage.venue.attaches:
        stage.lose_stop_by_hand()
    else:
        stage.order()
    stage.flat("ROLLED_BACK", "CLOSED")
    stage.event("stop_loss_refused", "warning")
    stage.event("rollback_started", "critical")


def neither_stop_nor_exit(stage: Stage) -> None:
    """Stop and exit are refused: a human is called, and it is retried until the exchange takes one of them."""
    stop_code, exit_code = (110061, 110007) if stage.venue.attaches else (-4045, -2019)
    stage.open()
    stage.fault("reject", Act.STOP, code=stop_code, next=8)
    stage.fault("reject", Act.EXIT, code=exit_code, next=4)
    stage.lose_stop_by_hand()
    stage.event("position_needs_intervention", "critical", limit_s=20)
    stage.event("position_intervention_over", "info", limit_s=25)
    stage.flat("ROLLED_BACK", "CLOSED")


def stop_would_trigger(stage: Stage) -> None:
    """The venue says that the first stop would trigger at once: the price has passed it, so the position is closed."""
    stage.fault("reject", Act.STOP, code=-2021)
    stage.order()
    stage.flat("ROLLED_BACK", "CLOSED")
    stage.event("rollback_started", "critical")


# Moves


def move(command: str, act: Act = Act.STOP, *, event: tuple[str, str] = ("", ""), **body: object) -> Story:
    """Something befalls the move of a stop: it comes to the better place, and the position is never without one."""

    def story(stage: Stage) -> None:
        stage.open()
        stage.protected()
        stage.fault(command, act, **body)
        stage.move("2")
        if event[0]:
            stage.event(*event)
        stage.in_profit()
        stage.protected()
        stage.no_event("stop_loss_lost", "rollback_started", "close_requested")

    return story


# Exits


def exit_struck(command: str, *, event: tuple[str, str] = ("", ""), **body: object) -> Story:
    """Something befalls the exit: flat in the end, nothing closed twice, and a stop until then."""

    def story(stage: Stage) -> None:
        stage.open()
        stage.fault(command, Act.EXIT, **body)
        stage.ask_close()
        if event[0]:
            stage.event(*event)
        stage.flat("CLOSED")
        (life,) = stage.lives()
        assert life.left == life.entered

    return story


def exit_cut(stage: Stage) -> None:
    """The exit is filled in part: the rest follows."""
    stage.open()
    stage.fault("cut_fill", Act.MARKET, share=50)
    stage.ask_close()
    stage.flat("CLOSED")


# Streams


def stream(command: str, act: Act, **body: object) -> Story:
    """A stream of the account lies or is late, from the entry over a move to the exit."""

    def story(stage: Stage) -> None:
        stage.fault(command, act, for_ms=30_000, **body)
        stage.open()
        stage.protected()
        stage.move("2")
        stage.in_profit()
        stage.protected()
        stage.ask_close()
        stage.flat("CLOSED")
        assert len(stage.lives()) == 1

    return story


def fill_unheard(stage: Stage) -> None:
    """The stop fires and no stream tells: the position is found to be gone, with its executions, and why."""
    stop = Decimal(stage.open()["stop_price"])
    for act in (Act.ORDERS, Act.STOPS, Act.POSITIONS):
        stage.fault("lose", act, for_ms=15_000)
    stage.move("-2.3")
    stage.flat("CLOSED")
    assert Decimal(stage.event("stop_loss_triggered", "info")["data"]["stop_price"]) == stop
    assert stage.shown["close_reason"] == "stop_loss"


# Questions


def size_in_doubt(command: str, **body: object) -> Story:
    """Nobody tells of an exit, and the questions about the position are answered wrongly at first."""

    def story(stage: Stage) -> None:
        stage.open()
        stage.fault("drop_reply", Act.EXIT)
        for act in (Act.ORDERS, Act.POSITIONS):
            stage.fault("lose", act, for_ms=15_000)
        stage.fault(command, Act.ASK_POSITION, **body)
        stage.ask_close()
        stage.flat("CLOSED", limit_s=35)
        (life,) = stage.lives()
        assert life.left == life.entered

    return story


def stop_question(command: str, **body: object) -> Story:
    """The reply to a move is lost and the question about it answered wrongly: still one right stop."""

    def story(stage: Stage) -> None:
        stage.open()
        stage.fault("drop_reply", Act.STOP)
        stage.fault("lose", Act.STOPS, for_ms=4_000)
        stage.fault(command, Act.ASK_STOP, **body)
        stage.move("2")
        stage.in_profit()
        stage.protected()

    return story


# Triggers


def trigger(command: str) -> Story:
    """The stop's trigger is touched and does not do its work: said so, then closed or covered by the nearest stop."""

    def story(stage: Stage) -> None:
        stage.open()
        stage.protected()
        stage.fault(command, Act.TRIGGER)
        stage.move("-2.3")
        stage.event("position_unprotected", "warning")
        stage.service.wait_for(
            lambda: stage.shown["state"] == "CLOSED" or stage.shown["stop_price"], 25, "closed or covered again"
        )
        if stage.shown["state"] == "ACTIVE":
            stage.protected()

    return story


def stuck(stage: Stage) -> None:
    """The stop stays in TRIGGERING: closed at market after its second; the book is closed once the stop has ended."""
    stage.open()
    stage.protected()
    _held, (stop,) = stage.resting()
    stage.fault("stick", Act.TRIGGER)
    stage.move("-2.3")
    stage.event("stop_loss_stuck", "warning")
    stage.service.wait_for(lambda: stage.resting()[0] == ZERO, 20, "flat at the exchange")
    assert isinstance(stop.latest, AlgoLine)
    if stop.latest.status == "TRIGGERING":
        stage.service.control("release", algoId=int(stop.latest.algo_id))
    stage.flat("CLOSED")


# Hands


def by_hand_reduced(stage: Stage) -> None:
    """A human sells a part: the stop follows."""
    opened = stage.open()
    whole = Decimal(opened["quantity"])
    part = part_of(stage, whole, Decimal("0.4"))
    stage.hand_order(opens=False, quantity=part)
    stage.sized(whole - part)
    stage.protected()


def by_hand_enlarged(stage: Stage) -> None:
    """A human buys more: what is there is covered whole."""
    opened = stage.open()
    whole = Decimal(opened["quantity"])
    part = part_of(stage, whole, Decimal("0.4"))
    stage.hand_order(opens=True, quantity=part)
    stage.sized(whole + part)
    stage.protected()


def by_hand_closed(stage: Stage) -> None:
    """A human closes all of it."""
    opened = stage.open()
    stage.hand_order(opens=False, quantity=Decimal(opened["quantity"]))
    stage.flat("CLOSED")


def dust(stage: Stage) -> None:
    """A human leaves less than may be ordered anew: it keeps a stop, and can be closed."""
    opened = stage.open()
    whole = Decimal(opened["quantity"])
    step = stage.service.terms.filters[stage.symbol].step
    stage.hand_order(opens=False, quantity=whole - step)
    stage.sized(step)
    stage.protected()
    stage.ask_close()
    stage.flat("CLOSED")


def stop_cancelled(stage: Stage) -> None:
    """A human takes the stop away: it is set again where it was."""
    opened = stage.open()
    stage.lose_stop_by_hand()
    stage.event("stop_loss_lost", "warning")
    again = stage.event("stop_loss_recovered", "info")
    assert Decimal(again["data"]["stop_price"]) == Decimal(opened["stop_price"])
    stage.protected()


def liquidated(stage: Stage) -> None:
    """The venue liquidates."""
    stage.open()
    stage.hand("liquidate")
    stage.flat("LIQUIDATED", "CLOSED")
    stage.event("position_liquidated", "critical")


def deleveraged(stage: Stage) -> None:
    """The venue takes a part, then the rest."""
    opened = stage.open()
    whole = Decimal(opened["quantity"])
    part = part_of(stage, whole, Decimal("0.5"))
    stage.hand("adl", quantity=str(part))
    stage.sized(whole - part)
    stage.protected()
    stage.hand("adl")
    stage.flat("CLOSED", "LIQUIDATED")


# The venue


def halted(stage: Stage) -> None:
    """The symbol stands still: a stop lost then is set again once it trades."""
    stage.open()
    stage.protected()
    stage.service.control("halt", symbol=stage.symbol, on=True)
    try:
        stage.ask_close()
        stage.event("exit_refused", "warning")
    finally:
        stage.service.control("halt", symbol=stage.symbol, on=False)
    stage.flat("CLOSED")


def tick_changed(stage: Stage) -> None:
    """The tick grows tenfold under a position: what is sent from then on fits it."""
    stage.open()
    tick = stage.service.terms.filters[stage.symbol].tick
    stage.service.control("contract", symbol=stage.symbol, tick=str(tick * 10))
    try:
        stage.move("2")
        stage.in_profit()
        moved = stage.protected()
        assert Decimal(moved["stop_price"]) % (tick * 10) == ZERO
        stage.event("instrument_changed", "warning")
        stage.ask_close()
        stage.flat("CLOSED")
    finally:
        stage.service.control("contract", symbol=stage.symbol, tick=str(tick))


def part_of(stage: Stage, quantity: Decimal, share: Decimal) -> Decimal:
    """A share of a quantity, on the step."""
    step = stage.service.terms.filters[stage.symbol].step
    return (quantity * share / step).quantize(Decimal(1)) * step
