"""What a service says of a position only when something seldom happens, and what is true of the position then.

Rules of this file: a story keeps to its symbol and says each of its events' figures; what warns is an alert as well.
Those of `ALONE` do something to the whole account or to the database: nothing else may run.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.end_to_end.fault_stage import Act, Stage
from tests.end_to_end.fault_stories import part_of
from tests.end_to_end.saboteur_stories import owner_comes
from tests.oracle.facts import ZERO
from tests.oracle.ours import TAKE_PROFIT
from tests.oracle.reader import AlgoLine

Story = Callable[[Stage], None]

TARGETS_ONLY = {"type": "TAKE_PROFIT_MARKET"}
NO_MARGIN, NO_SLOT, KEY_REFUSED = -2019, -4045, -2015
LONG_MS = 90_000
CALLBACK = Decimal("0.005")
WALLETS = 55  # so much of the wallet a position is worth that is liquidated 1.4 % away


def alert(stage: Stage, type_: str, severity: str, words: str, *, of_account: bool = False) -> None:
    """Wait until a human was told."""
    about = None if of_account else stage.symbol

    def told() -> bool:
        rows = stage.service.ctl("alerts", limit=500)["latest"]
        wanted = (type_, severity, about)
        return any(words in row["text"] for row in rows if (row["type"], row["severity"], row["symbol"]) == wanted)

    stage.service.wait_for(told, 20, f"a {severity} alert {type_} with {words!r}")


# Take-profits


def opened_with(stage: Stage, pct: str, fraction: str = "1", **more: object) -> dict[str, Any]:
    """A protected position that wants one take-profit and does not trail."""
    return stage.open(take_profits=[{"pct": pct, "fraction": fraction}], trailing=False, **more)


def target_of(stage: Stage) -> dict[str, Any]:
    """The position's only take-profit, as the service shows it."""
    (shown,) = stage.shown["take_profits"]
    return dict(shown)


def target_rests(stage: Stage, quantity: Decimal) -> dict[str, Any]:
    """Wait until exactly one take-profit of ours rests, of this size, as the service shows it; and one right stop."""

    def look() -> dict[str, Any] | None:
        shown = target_of(stage)
        right = [(shown["order_id"], quantity, Decimal(shown["price"]))]
        return shown if [(t.algo_id, t.quantity, t.trigger) for t in targets(stage)] == right else None

    found: dict[str, Any] = stage.service.wait_for(look, 25, f"one take-profit of {quantity} {stage.symbol}")
    stage.protected()
    return found


def targets(stage: Stage) -> list[AlgoLine]:
    """The take-profits of ours that rest on the symbol."""
    resting = stage.watch.read(lambda book: list(book.resting.get((stage.symbol, "BOTH"), [])))
    mine = [order.latest for order in resting if order.live and order.kind == TAKE_PROFIT]
    return [line for line in mine if isinstance(line, AlgoLine)]


def target_refused(stage: Stage) -> None:
    """The venue refuses the take-profit once: said with its figures, and it rests a little later."""
    stage.fault("reject", Act.STOP, code=NO_MARGIN, where=TARGETS_ONLY)
    whole = Decimal(opened_with(stage, "3")["quantity"])
    refused = stage.event("take_profit_refused", "warning")["data"]
    assert (refused["reason"], refused["code"], refused["refusals"]) == ("no_funds", str(NO_MARGIN), 1)
    assert "Margin is insufficient" in refused["error"]
    assert Decimal(refused["quantity"]) == whole
    alert(stage, "take_profit_refused", "warning", f"target_price={refused['target_price']}")
    rests = target_rests(stage, whole)
    assert Decimal(rests["price"]) == Decimal(refused["target_price"])


def target_lost_on_the_way(stage: Stage) -> None:
    """The take-profit never reached the venue: unknown, asked about, and sent anew once that is proven."""
    stage.fault("drop_request", Act.STOP, where=TARGETS_ONLY)
    whole = Decimal(opened_with(stage, "3")["quantity"])
    unknown = stage.event("take_profit_unknown", "warning")
    assert unknown["data"]["error"]
    alert(stage, "take_profit_unknown", "warning", "error=")
    target_rests(stage, whole)
    placed = stage.event("take_profit_placed", "info")
    assert placed["ts"] > unknown["ts"]
    assert len(stage.service.events(type="take_profit_sent", position=stage.id)) == 2


def target_reply_lost(stage: Stage) -> None:
    """The take-profit rests and nobody says so: unknown, found by asking, and never sent twice."""
    stage.fault("lose", Act.STOPS, for_ms=LONG_MS)
    stage.fault("drop_reply", Act.STOP, where=TARGETS_ONLY)
    whole = Decimal(opened_with(stage, "3")["quantity"])
    assert stage.event("take_profit_unknown", "warning")["data"]["error"]
    placed = stage.event("take_profit_placed", "info")
    assert placed["data"]["source"] == "3/3 query"
    target_rests(stage, whole)
    assert len(stage.service.events(type="take_profit_sent", position=stage.id)) == 1


def target_cancelled_by_hand(stage: Stage) -> None:
    """A human cancels the take-profit: said so, and it is there again at its price; the stop is not touched."""
    whole = Decimal(opened_with(stage, "3")["quantity"])
    before = target_rests(stage, whole)
    stage.service.control("cancel", algoId=int(before["order_id"]))
    lost = stage.event("take_profit_lost", "warning")["data"]
    figures = [Decimal(lost[name]) for name in ("target_price", "quantity")]
    assert (figures, lost["status"]) == ([Decimal(before["price"]), whole], "canceled")
    alert(stage, "take_profit_lost", "warning", "status=canceled")
    stage.service.wait_for(lambda: target_of(stage)["order_id"] not in (None, before["order_id"]), 20, "a new one")
    assert target_rests(stage, whole)["price"] == before["price"]
    stage.no_event("stop_loss_lost", "stop_loss_moved")


def target_passed(stage: Stage) -> None:
    """The mark passes a take-profit while the venue takes none: its share is closed at market, the rest is covered."""
    stage.fault("reject", Act.STOP, code=NO_MARGIN, where=TARGETS_ONLY, for_ms=LONG_MS)
    whole = Decimal(opened_with(stage, "1", "0.5")["quantity"])
    refused = stage.event("take_profit_refused", "warning")["data"]
    stage.move("1.3")
    passed = stage.event("take_profit_passed", "info")["data"]
    assert (passed["symbol"], passed["target_price"]) == (stage.symbol, refused["target_price"])
    assert (Decimal(passed["mark_price"]) - Decimal(passed["target_price"])) * stage.sign >= 0
    part = Decimal(passed["quantity"])
    assert ZERO < part < whole
    stage.sized(whole - part)
    exit_ = stage.event("exit_placed", "info")["data"]
    assert (exit_["reason"], Decimal(exit_["quantity"])) == ("take_profit", part)
    stage.protected()
    assert targets(stage) == []


def target_reduced(stage: Stage) -> None:
    """A human sells a part: the take-profit shrinks to what is left, as the stop does."""
    whole = Decimal(opened_with(stage, "3")["quantity"])
    target_rests(stage, whole)
    part = part_of(stage, whole, Decimal("0.4"))
    stage.hand_order(opens=False, quantity=part)
    stage.sized(whole - part)
    reduced = stage.event("take_profit_reduced", "info")["data"]
    figures = [Decimal(reduced[name]) for name in ("old_quantity", "quantity", "left")]
    assert figures == [whole, whole - part, whole - part]
    assert Decimal(target_rests(stage, whole - part)["price"]) == Decimal(reduced["target_price"])


def target_out_of_reach(stage: Stage) -> None:
    """A take-profit that is too far from a worse price: the last check before the wire refuses it and calls a human.

    Nothing of it reaches the exchange, the stop stays, and it rests once the price is back.
    """
    whole = Decimal(opened_with(stage, "49", stop_pct="9")["quantity"])
    begin = stage.service.mark(stage.symbol)
    before = target_rests(stage, whole)
    stage.move("-7.5")
    stage.service.control("cancel", algoId=int(before["order_id"]))
    refused = stage.event("order_refused_unsafe", "critical")
    told = refused["data"]
    named, rule = told["rule"].split(": ")
    assert Decimal(named.removeprefix("trigger_price=")) == Decimal(before["price"])
    assert rule.endswith("at most 60 % are allowed")
    alert(stage, "order_refused_unsafe", "critical", told["order_id"])
    assert stage.event("take_profit_refused", "info")["data"]["reason"] == "insane"
    assert told["order_id"] not in stage.service.timeline.read_text()
    stage.protected()
    assert targets(stage) == []
    stage.service.control("price", symbol=stage.symbol, mark=str(begin))
    target_rests(stage, whole)


# Stops, trailing, prices


def trails_no_more(stage: Stage) -> None:
    """An operator takes the trailing away: no stop is sent however far the mark goes, until he gives it back."""
    stage.open()
    mark = stage.move("2")
    stage.service.wait_position(stage.id, lambda p: trailed(p, stage.sign), 25, "the stop where it trails to")
    stage.protected()
    stage.service.ctl("position.set_trailing", id=stage.id, enabled=False)
    removed = stage.event("trailing_removed", "info")
    assert abs(Decimal(removed["data"]["extreme_price"]) / mark - 1) < Decimal("0.001")
    shown = stage.shown
    assert shown["trailing"]["state"] == "OFF"
    mark = stage.move("2")
    near = mark / 1_000
    stage.service.wait_for(lambda: abs(Decimal(stage.shown["mark_price"]) - mark) < near, 20, "the mark to be heard")
    assert stage.protected()["stop_order_id"] == shown["stop_order_id"]
    stage.service.ctl("position.set_trailing", id=stage.id, enabled=True)
    stage.service.wait_position(stage.id, lambda p: p["stop_order_id"] != shown["stop_order_id"], 25, "it trails again")
    story = [e["type"] for e in stage.service.events(position=stage.id) if e["seq"] > removed["seq"]]
    assert "stop_loss_sent" not in story[: story.index("operator_command")], story
    stage.protected()


def trailed(shown: dict[str, Any], sign: int) -> bool:
    """Whether the stop is as near to the extreme as it trails, but for less than a move is worth."""
    stop, extreme = Decimal(shown["stop_price"] or 0), Decimal(shown["trailing"]["extreme_price"] or 0)
    return shown["state"] == "ACTIVE" and abs(stop - extreme * (1 - sign * CALLBACK)) < extreme / 2_500


def emergency(stage: Stage) -> None:
    """Neither the stop nor an exit is taken: a stop further away rests until the exchange takes an exit again."""
    stage.fault("reject", Act.STOP, code=NO_SLOT, next=3)
    stage.fault("reject", Act.EXIT, code=NO_MARGIN, for_ms=LONG_MS)
    stage.order()
    told = stage.event("emergency_stop", "critical", limit_s=30)["data"]
    assert (told["symbol"], told["purpose"]) == (stage.symbol, "emergency")
    price, mark = Decimal(told["stop_price"]), stage.service.mark(stage.symbol)
    assert Decimal("9.8") < (mark - price) * stage.sign / mark * 100 < Decimal("10.2")
    held, stops = stage.resting()
    assert [(stop.trigger, stop.closing_quantity(abs(held))) for stop in stops] == [(price, Decimal(told["quantity"]))]
    assert abs(held) == Decimal(told["quantity"])
    alert(stage, "emergency_stop", "critical", f"stop_price={told['stop_price']}")
    stage.event("position_protected", "info")
    assert stage.shown["state"] == "CLOSING"
    stage.calm()
    stage.flat("ROLLED_BACK", "CLOSED", limit_s=40)


def averaged_by_the_venue(stage: Stage) -> None:
    """A human sells a part and buys it back dearer: the venue's average price is taken over, and what goes by it."""
    whole = Decimal(stage.open()["quantity"])
    part = part_of(stage, whole, Decimal("0.5"))
    stage.hand_order(opens=False, quantity=part)
    stage.sized(whole - part)
    # Its stop has come to rest: a fill that overtakes the cancel of the old one is another story.
    stage.service.wait_for(lambda: one_stop_of(stage, whole - part), 20, "one stop of the new size")
    stage.move("0.6")
    stage.hand_order(opens=True, quantity=part)
    stage.sized(whole)
    stage.protected()
    stage.service.ctl("reconcile", account="main")  # waits for the second look that a doubt takes
    told = stage.event("entry_price_corrected", "warning", limit_s=50)["data"]
    rows = stage.service.exchange("POST", "/control/state", {})["position_sides"]
    (price,) = [Decimal(row["entry_price"]) for row in rows if row["symbol"] == stage.symbol]
    assert (told["symbol"], Decimal(told["exchange"]), told["seen"]) == (stage.symbol, price, "2/2")
    assert abs(Decimal(told["book"]) - price) > price / 2_000
    alert(stage, "entry_price_corrected", "warning", f"exchange={told['exchange']}")
    stage.service.wait_position(stage.id, lambda p: Decimal(p["entry_price"]) == price, 20, "the venue's price")


def one_stop_of(stage: Stage, quantity: Decimal) -> bool:
    """Whether the only stop of ours is for that much, or for whatever there is."""
    lines = [stop.latest for stop in stage.resting()[1]]
    return [isinstance(e, AlgoLine) and (e.close_position or e.quantity == quantity) for e in lines] == [True]


# The account, the database


def near_its_liquidation(stage: Stage) -> None:
    """A human's position would be liquidated before our stop fires: said, and the stop comes nearer for that."""
    stage.service.wait_price(stage.symbol)
    stage.service.control("leverage", symbol=stage.symbol, leverage=100)
    mark, step = stage.service.mark(stage.symbol), stage.service.terms.filters[stage.symbol].step
    wallet = Decimal(stage.service.exchange("POST", "/control/state", {})["wallet"])
    stage.hand_order(opens=True, quantity=(wallet * WALLETS / mark / step).quantize(Decimal(1)) * step)
    owner_comes(stage, stage.side)
    told = stage.event("liquidation_near", "warning")["data"]
    beyond, old, new = (Decimal(told[name]) for name in ("liquidation_price", "old_stop", "new_stop"))
    assert (old - beyond) * stage.sign <= 0 < (new - beyond) * stage.sign
    alert(stage, "liquidation_near", "warning", f"liquidation_price={told['liquidation_price']}")
    stage.service.wait_position(stage.id, lambda p: Decimal(p["stop_price"] or 0) == new, 20, "the nearer stop")
    stage.protected()
    stage.no_event("order_refused_unsafe", "rollback_started")


def key_may_withdraw(stage: Stage) -> None:
    """The key was given a right it should not have: said as soon as the account is read anew; entries go on."""
    stage.open()
    stage.service.control("rights", withdraw=True)
    # The venue refuses the key once: the account is read again at once, else within the hour.
    once = {"method": "GET", "path": "/fapi/v2/positionRisk", "code": KEY_REFUSED}
    stage.expects(int(stage.service.exchange("POST", "/control/reject", once)["fault"]))
    stage.service.ctl("reconcile", account="main")
    doubtful = stage.service.wait_event("account_doubtful", limit_s=40)
    assert (doubtful["severity"], doubtful["data"]["code"]) == ("warning", "may_withdraw")
    assert "take that permission from it" in doubtful["data"]["reason"]
    alert(stage, "account_doubtful", "warning", "code=may_withdraw", of_account=True)
    assert stage.service.ctl("status")["entries"]["open"]
    stage.protected()
    stage.service.control("rights", withdraw=False)


def database_is_slow(stage: Stage) -> None:
    """The database does not answer: the stop moves all the same, its intent in the spool, and all is written later."""
    stage.open()
    stage.protected()
    known = stage.service.events(type="intent_spooled")  # a loaded machine makes any database slow
    with stage.service.database_hung():
        before = stage.watch.triggers()
        stage.move("2")
        stage.service.wait_for(lambda: stage.watch.triggers() > before, 20, "a move without the database")
    spooled = stage.service.wait_for(
        lambda: stage.service.events(type="intent_spooled")[len(known) :], 40, "an intent in the spool"
    )[0]
    assert (spooled["severity"], spooled["data"]["limit_ms"]) == ("warning", 50)
    assert spooled["data"]["record"]
    alert(stage, "intent_spooled", "warning", f"record={spooled['data']['record']}", of_account=True)
    stage.in_profit()
    stage.protected()
    stage.service.wait_for(lambda: not spool(stage), 20, "an empty spool")


def spool(stage: Stage) -> list[str]:
    """What waits in the spool."""
    return [line for file in (stage.service.state_dir / "spool").glob("*.jsonl") for line in file.read_text().split()]


TOGETHER: dict[str, Story] = {
    "target_refused": target_refused,
    "target_lost_on_the_way": target_lost_on_the_way,
    "target_reply_lost": target_reply_lost,
    "target_cancelled_by_hand": target_cancelled_by_hand,
    "target_passed": target_passed,
    "target_reduced": target_reduced,
    "target_out_of_reach": target_out_of_reach,
    "trails_no_more": trails_no_more,
    "emergency": emergency,
    "averaged_by_the_venue": averaged_by_the_venue,
}
ALONE: dict[str, Story] = {
    "database_is_slow": database_is_slow,
    "near_its_liquidation": near_its_liquidation,
    "key_may_withdraw": key_may_withdraw,
}
