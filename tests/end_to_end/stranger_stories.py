"""A stranger's orders, and what is left of ours: what a running service takes over, clears away and leaves alone.

Rules of this file: a story keeps to its symbol, and speaks of what rests on the exchange by its timeline.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from tests.end_to_end.fault_stage import Act, Stage
from tests.end_to_end.fault_stories import part_of
from tests.end_to_end.saboteur_stories import SOON_S, Story, owner_comes, size_by_hand
from tests.end_to_end.strangers import lay_as
from tests.oracle.facts import Order

YOUNG_S = 11


def strangers(stage: Stage, side: str = "") -> list[Order]:
    """What rests there that is not ours; `side`: of a hedge, if it is not the stage's own."""
    key = (stage.symbol, side or (stage.side.upper() if stage.venue.hedged else "BOTH"))
    return stage.watch.read(lambda book: [o for o in book.resting.get(key, ()) if o.live and not o.kind])


def his_stops_taken_over(stage: Stage) -> None:
    """With `adopt_stops` a human's stops go, the whole one and the part, once ours stands over all of it."""
    quantity, mark = size_by_hand(stage), stage.service.mark(stage.symbol)
    closing = "SELL" if stage.sign > 0 else "BUY"
    for percent, size in ((4, quantity), (3, part_of(stage, quantity, Decimal("0.4")))):
        trigger = stage.service.on_tick(stage.symbol, mark * (100 - percent * stage.sign) / 100)
        stage.hand("stop", side=closing, trigger=str(trigger), quantity=str(size))
    stage.hand_order(opens=True, quantity=quantity)
    his = strangers(stage)
    assert len(his) == 2
    owner_comes(stage, stage.side)
    stage.service.wait_for(lambda: not strangers(stage), SOON_S, f"{stage.symbol}: his stops are gone")
    stage.sized(quantity)
    stage.protected()
    _held, (ours,) = stage.resting()
    assert all(ours.accepted.seq < each.latest.seq for each in his), "one of his went before ours stood"
    assert {each.latest.status for each in his} == {"CANCELED"}


def other_sides_orders(stage: Stage) -> None:
    """Hedge mode: of two orders for the other side, which is flat, a stranger's stays, one of a past position goes."""
    opened = stage.open()
    other, opening = ("SHORT", "BUY") if stage.sign > 0 else ("LONG", "SELL")
    quantity = opened["quantity"]
    trigger = stage.service.on_tick(stage.symbol, stage.service.mark(stage.symbol) * (100 + 6 * stage.sign) / 100)
    his = {"symbol": stage.symbol, "side": opening, "trigger": str(trigger), "quantity": quantity}
    stage.service.control("stop", **his, position_side=other)
    entry = next(order["client_id"] for order in stage.shown["orders"] if order["kind"] == "entry")
    prefix, _position, epoch, _rest = entry.split("-")
    ours = f"{prefix}-1-{epoch}-1s"
    lay_as(stage.service, stage.symbol, ours, side=opening, quantity=quantity, held=other)
    stage.reconcile()
    gone = stage.service.wait_event("zombie_cancelled", symbol=stage.symbol, limit_s=SOON_S)
    assert (gone["data"]["client_id"], gone["data"]["kind"]) == (ours, "wrong_side")
    stage.protected()
    time.sleep(YOUNG_S)  # a stranger's order that is young is left alone whoever asks
    found = stage.service.ctl("zombies.scan", account="main", dry_run=True, aggressive=True)["zombies"]
    named = [(each["kind"], each["whose"], each["result"]) for each in found if each["symbol"] == stage.symbol]
    assert named == [("wrong_side", "stranger", "listed")]
    stage.ask_close()
    stage.flat("CLOSED")
    look = stage.service.wait_for(lambda: ended_looks(stage), SOON_S, f"a look at {stage.symbol} after the close")
    assert look[0]["data"]["cancelled"] == 0
    assert [each.trigger for each in strangers(stage, other)] == [trigger]
    assert len(stage.service.events(type="zombie_cancelled", symbol=stage.symbol)) == 1
    stage.service.control("cancel_all", symbol=stage.symbol)


def ended_looks(stage: Stage) -> list[dict[str, Any]]:
    """The ends of the looks that were for the close of this symbol."""
    ended = stage.service.events(type="zombie_scan_finished")
    return [each for each in ended if each["data"]["reason"] == f"closed {stage.symbol}"]


def left_on_a_flat_position(stage: Stage) -> None:
    """What stood on a position outlives it: stop and take-profit are taken off the flat one."""
    opened = stage.open()
    away = stage.service.on_tick(stage.symbol, Decimal(opened["entry_price"]) * (100 + 8 * stage.sign) / 100)
    stage.hand("position_stop", take_profit=str(away))
    for path in ("STOP_MARKET", "TAKE_PROFIT_MARKET"):
        stage.fault("cling", Act.MARKET, path=path)
    stage.ask_close()
    stage.state("CLOSED")
    stage.reconcile()
    gone = stage.service.wait_event("zombie_cancelled", symbol=stage.symbol, limit_s=SOON_S)
    assert (gone["data"]["kind"], gone["data"]["whose"]) == ("attached", "ours")
    stage.service.wait_for(
        lambda: not stage.watch.read(lambda book: left_standing(book.resting, stage.symbol)), 10, "nothing stands there"
    )


def left_standing(resting: Any, symbol: str) -> list[Order]:
    """What still rests anywhere on a symbol."""
    return [order for key, orders in resting.items() if key[0] == symbol for order in orders if order.live]


STRANGERS: dict[str, Story] = {
    "his_stops_taken_over": his_stops_taken_over,
    "other_sides_orders": other_sides_orders,
    "left_on_a_flat_position": left_on_a_flat_position,
}
