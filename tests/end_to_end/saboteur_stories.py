"""What a human does behind our back, and what an exchange says that is not so: what has to be true two cycles later.

Rules of this file: a story keeps to its symbol; the reconciler's interval is 30 s, so what comes right sooner came
right by the stream or by a look for a reason. `lies` are told about the whole account: nothing else may run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.end_to_end.fault_stage import Act, Stage
from tests.end_to_end.fault_stories import part_of

Story = Callable[[Stage], None]
SIZE_USD = 400
OUR_LEVERAGE = 10
NOT_ONE_LOOK_S = Decimal("0.8")
CYCLE_S = 30
SOON_S = 3 * CYCLE_S  # two cycles, on a machine that has much else to do


def size_by_hand(stage: Stage) -> Decimal:
    """What a human opens, once the service knows the symbol's price."""
    stage.service.wait_price(stage.symbol)
    terms = stage.service.terms.filters[stage.symbol]
    return (SIZE_USD / stage.service.mark(stage.symbol) / terms.step).quantize(Decimal(1)) * terms.step


def by_hand(stage: Stage) -> Decimal:
    """A human opens a position of the stage's side; returns its size."""
    quantity = size_by_hand(stage)
    stage.hand_order(opens=True, quantity=quantity)
    return quantity


def owner_comes(stage: Stage, side: str) -> dict[str, Any]:
    """Wait until somebody of us owns what is open on the symbol and side; the stage goes on with it."""

    def look() -> dict[str, Any] | None:
        found = stage.service.positions(symbol=stage.symbol)
        return next((p for p in found if p["side"] == side and p["id"] != stage.id), None)

    owned: dict[str, Any] = stage.service.wait_for(look, SOON_S, f"an owner of {stage.symbol} {side}")
    stage.id, stage.side = int(owned["id"]), side
    return owned


def adopted_bare(stage: Stage) -> None:
    """A human's position without a stop: protected at once, and the seconds count from its first sight."""
    quantity = by_hand(stage)
    owner_comes(stage, stage.side)
    stage.sized(quantity)
    shown = stage.protected()
    adopted = stage.event("position_adopted", "warning")
    assert adopted["data"]["bare_since"] is not None
    bare = Decimal(shown["unprotected_seconds"])
    assert NOT_ONE_LOOK_S <= bare < CYCLE_S, f"{bare} s from first sight to a stop: two looks, and no cycle apart"
    found = stage.service.events(type="reconcile_finding", symbol=stage.symbol)
    assert [e["data"]["seen"] for e in found if e["data"].get("kind") == "untracked"][:2] == ["1/2", "2/2"]
    repaired = stage.service.wait_event("reconcile_repaired", symbol=stage.symbol, limit_s=SOON_S)
    assert repaired["data"]["result"] == "has an owner"


def adopted_with_his_stop(stage: Stage) -> None:
    """A human's position with a stop of his over all of it: that stays the stop, and none is placed beside it."""
    stage.service.wait_price(stage.symbol)
    mark = stage.service.mark(stage.symbol)
    # On the position itself there is one stop, and a looser one than ours is tightened (DESIGN 3, 'Ours is').
    away = 1 if stage.venue.attaches else 4
    trigger = stage.service.on_tick(stage.symbol, mark * (100 - away * stage.sign) / 100)
    quantity = by_hand(stage)
    if stage.venue.attaches:
        stage.hand("position_stop", stop_loss=str(trigger))
    else:
        side = "SELL" if stage.sign > 0 else "BUY"
        stage.hand("stop", side=side, trigger=str(trigger), quantity=str(quantity))
    owner_comes(stage, stage.side)
    shown = stage.state("ACTIVE")
    assert Decimal(shown["stop_price"]) == trigger
    stage.no_event("stop_loss_sent")
    # No order of ours has told the oracle that the position was adopted.
    stage.service.operator_acts(stage.symbol)
    stage.ask_close()
    stage.state("CLOSED")
    if not stage.venue.attaches:  # it is his: it stays when the position is over, and is not ours to be cancelled
        stage.service.control("cancel_all", symbol=stage.symbol)


def flipped(stage: Stage) -> None:
    """A human turns it over: ours is over, with its reason, and what is there now is protected as well."""
    opened = stage.open()
    ours, quantity = stage.id, Decimal(opened["quantity"])
    side = "SELL" if stage.sign > 0 else "BUY"
    stage.service.control("order", symbol=stage.symbol, side=side, quantity=str(quantity * 2))
    over = stage.service.wait_state(ours, "CLOSED", limit_s=SOON_S)
    assert over["close_reason"] == "outside"
    owner_comes(stage, "short" if stage.side == "long" else "long")
    stage.sized(quantity)
    stage.protected()


def reopened_between_two_looks(stage: Stage) -> None:
    """Closed and opened again, smaller, while no stream told: what is there is covered, and the book is right."""
    opened = stage.open()
    whole = Decimal(opened["quantity"])
    for act in (Act.ORDERS, Act.POSITIONS, Act.STOPS):
        stage.fault("lose", act, for_ms=6_000)
    stage.hand_order(opens=False, quantity=whole)
    less = part_of(stage, whole, Decimal("0.6"))
    stage.hand_order(opens=True, quantity=less)
    stage.reconcile()
    stage.service.wait_event("reconcile_finding", symbol=stage.symbol, limit_s=SOON_S)
    stage.service.wait_for(lambda: covered(stage, less), SOON_S, f"{stage.symbol}: {less} covered")
    stage.calm()  # with that, the close is heard of


def covered(stage: Stage, quantity: Decimal) -> bool:
    """Whether this is what is there, with one stop over all of it, and whoever owns it says the same."""
    held, stops = stage.resting()
    owned = [p for p in stage.service.positions(symbol=stage.symbol) if p["side"] == stage.side]
    if [Decimal(p["quantity"]) for p in owned] != [quantity]:
        return False
    stage.id = int(owned[0]["id"])
    return abs(held) == quantity and [stop.closing_quantity(abs(held)) for stop in stops] == [quantity]


def reduced_unheard(stage: Stage) -> None:
    """A human sells a part and no stream tells: a reading finds it, and its owner puts it right."""
    opened = stage.open()
    whole = Decimal(opened["quantity"])
    part = part_of(stage, whole, Decimal("0.4"))
    told = (Act.ORDERS, Act.POSITIONS, *((Act.STOPS,) if stage.venue.attaches else ()))
    for act in told:
        stage.fault("lose", act, for_ms=6_000)
    time.sleep(0.3)  # the last frames about the entry are on their way
    stage.hand_order(opens=False, quantity=part)
    stage.reconcile()
    stage.service.wait_for(lambda: "quantity" in found_kinds(stage), SOON_S, f"another size of {stage.symbol} is found")
    stage.sized(whole - part)
    stage.protected()
    stage.calm()


def found_kinds(stage: Stage) -> set[str]:
    """All that readings have found on the symbol so far."""
    found = stage.service.events(type="reconcile_finding", symbol=stage.symbol)
    return {each["data"]["kind"] for each in found if "kind" in each["data"]}


def leverage_changed(stage: Stage) -> None:
    """A human sets another leverage under an open position: said, and set back by the next entry, not before."""
    stage.open()
    stage.service.control("leverage", symbol=stage.symbol, leverage=OUR_LEVERAGE * 2)
    stage.reconcile()

    def sure() -> dict[str, Any] | None:
        told = stage.service.events(type="reconcile_finding", symbol=stage.symbol)
        return next((e for e in told if (e["data"].get("kind"), e["data"]["seen"]) == ("leverage", "2/2")), None)

    found = stage.service.wait_for(sure, SOON_S, "the finding")
    assert (found["severity"], found["position_id"]) == ("warning", stage.id)
    assert (found["data"]["book"], found["data"]["exchange"]) == (str(OUR_LEVERAGE), str(OUR_LEVERAGE * 2))
    stage.protected()
    stage.ask_close()
    stage.flat("CLOSED")
    stage.open()  # flat, it was as the human left it: the next entry sets it, and does not trust what it set before
    report = stage.reconcile()
    assert "leverage" not in {each["finding"] for each in report["findings"] if each["symbol"] == stage.symbol}, report
    stage.protected()


def stop_taken_again_and_again(stage: Stage) -> None:
    """Somebody else's program takes our stop away each time: it is back each time, and a human is called."""
    stage.open()
    stage.reconcile()
    for times in (1, 2, 3):
        stage.protected()
        stage.lose_stop_by_hand()
        stage.service.wait_position(stage.id, lambda p: p["recoveries"] >= times, SOON_S, f"{times} recoveries")  # noqa: B023
    stage.protected()
    stage.event("stop_loss_recovered", "warning")  # the third is in the book
    said = stage.service.events(type="stop_loss_recovered", position=stage.id)
    assert [(e["data"]["what"], e["data"]["recoveries"], e["severity"]) for e in said] == [
        ("missing", 1, "info"), ("missing", 2, "info"), ("missing", 3, "warning"),
    ]  # fmt: skip
    stage.reconcile()
    fought = stage.event("stop_loss_fought_over", "critical", limit_s=SOON_S)
    assert fought["data"]["times"] == 3


def stop_loosened(stage: Stage) -> None:
    """A human sets the stop on the position further away: it is back in its place, and counted."""
    opened = stage.open()
    before = Decimal(opened["stop_price"])
    looser = stage.service.on_tick(stage.symbol, before * (100 - 2 * stage.sign) / 100)
    stage.hand("position_stop", stop_loss=str(looser))
    again = stage.event("stop_loss_recovered", "info", limit_s=SOON_S)
    assert (again["data"]["what"], Decimal(again["data"]["stop_price"])) == ("price", before)
    assert stage.protected()["recoveries"] == 1


HANDS: dict[str, Story] = {
    "adopted_bare": adopted_bare,
    "adopted_with_his_stop": adopted_with_his_stop,
    "flipped": flipped,
    "reopened_between_two_looks": reopened_between_two_looks,
    "reduced_unheard": reduced_unheard,
    "leverage_changed": leverage_changed,
    "stop_taken_again_and_again": stop_taken_again_and_again,
    "stop_loosened": stop_loosened,
}


# What an exchange says of the whole account that is not so (LAWS S11).

LOOKS = 3
"""So often is what may be gone looked at before it is believed (1/3 to 3/3)."""
OLD_MS, BRIEFLY_MS, GHOST_MS = 25_000, 8_000, 4_000
"""A row that is still the old one 15 s after our last execution is believed."""
ALWAYS = 1_000


@dataclass(frozen=True, slots=True)
class Untrue:
    """What is wrong with an answer: the fault, the list it strikes, and the rest of its order."""

    command: str
    path: str
    body: Mapping[str, object]


def readings(stage: Stage) -> int:
    """How often the account was read so far, as far as it is written."""
    return sum(len(stage.service.events(type=each)) for each in ("reconcile_finished", "reconcile_failed"))


def lie(*answers: Untrue) -> Story:
    """The account's lists are wrong, reading after reading: nothing is believed gone, given up, missed or left over.

    Two positions are open, so that a list may show one and not the other.
    """

    def story(stage: Stage) -> None:
        both = (stage, Stage(stage.service, stage.watch, stage.venue, BESIDE, stage.side))
        for each in both:
            each.open()
        before = [each.protected()["stop_order_id"] for each in both]
        sent = [len(each.service.events(type="stop_loss_sent", position=each.id)) for each in both]
        for answer in answers:
            ordered = {"method": "GET", "path": answer.path, "next": ALWAYS, **answer.body}
            stage.expects(int(stage.service.exchange("POST", f"/control/{answer.command}", ordered)["fault"]))
        seen = readings(stage)
        while readings(stage) < seen + LOOKS:
            stage.reconcile()  # lasts as many looks as a doubt takes, where the requests of the minute suffice
        stage.calm()
        report = stage.reconcile()
        assert report["error"] is None
        assert [found for found in report["findings"] if found["symbol"] in (stage.symbol, BESIDE)] == []
        assert [each.protected()["stop_order_id"] for each in both] == before
        assert [len(each.service.events(type="stop_loss_sent", position=each.id)) for each in both] == sent
        for each in both:
            each.no_event("position_changed_outside", "position_closed", "stop_loss_lost")
            assert each.service.events(type="zombie_cancelled", symbol=each.symbol) == []
        both[1].finish()

    return story


def ghost(*paths: str) -> Story:
    """Ours is over, and for some seconds the lists still show it: nobody takes it for a stranger's and protects it."""

    def story(stage: Stage) -> None:
        stage.open()
        stage.protected()
        time.sleep(GHOST_MS / 1000)  # so old is what will be shown
        stage.ask_close()
        stage.flat("CLOSED")
        ordered = {"method": "GET", "next": ALWAYS, "ms": GHOST_MS, "for_ms": GHOST_MS}
        for path in paths:
            stage.expects(int(stage.service.exchange("POST", "/control/stale", {**ordered, "path": path})["fault"]))
        seen = readings(stage)
        while readings(stage) < seen + LOOKS:
            stage.reconcile()
        assert stage.service.events(type="position_adopted", symbol=stage.symbol) == []
        assert stage.service.positions(symbol=stage.symbol) == []

    return story


def lies(stage: Stage) -> dict[str, Story]:
    """Every kind, about the lists that a reading asks for.

    `partial`: of the positions the list has the first ones only (Binance lists flat ones too, in its own order).
    """
    positions = "/v5/position/list" if stage.venue.attaches else "/fapi/v2/positionRisk"
    orders = "/v5/order/realtime" if stage.venue.attaches else "/fapi/v1/openAlgoOrders"
    rows = 1 if stage.venue.attaches else ROWS_AFTER_IT * (2 if stage.venue.hedged else 1)
    partial = Untrue("rows", positions, {"drop": rows})
    hidden = Untrue("hide", orders, {"ms": 60_000})
    return {
        "empty": lie(*(Untrue("rows", each, {"drop": "all"}) for each in (positions, orders))),
        "stale": lie(*(Untrue("stale", each, {"ms": OLD_MS, "for_ms": BRIEFLY_MS}) for each in (positions, orders))),
        "partial": lie(partial),
        "hidden": lie(hidden),
        "partial_and_hidden": lie(partial, hidden),
        "ghost": ghost(positions, orders),
    }


LIES = ("empty", "stale", "ghost", "partial", "hidden", "partial_and_hidden")
BESIDE = "ADAUSDT"
ROWS_AFTER_IT = 8  # of BNBUSDT, among which is `BESIDE`
