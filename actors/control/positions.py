"""An operator's hand on positions: open, close, move the stop. The desk and the owners decide."""

from __future__ import annotations

import threading
from dataclasses import replace
from decimal import Decimal

from actors import messages
from actors.control.answering import ANSWER_S, LOOK_EVERY_S, Answering
from actors.entry_desk import NOT_YET
from actors.messages import EntriesRefused, OpenByHand, OperatorInput
from actors.position import RefusedByPosition
from adapters.admin.parameters import Parameters, refused, required
from adapters.admin.protocol import NOT_NOW, REFUSED, UNKNOWN_ID, AdminError, Caller
from domain.identity import PositionId
from domain.instrument import PositionSide
from domain.position.inputs import CloseWanted, Release, StopWanted, TrailingWanted
from domain.position.plan import TakeProfit, TrailingRules
from domain.position.state import CloseReason, Position
from persistence.positions import load


def open_position(house: Answering, params: Parameters, caller: Caller) -> object:
    account = params.text("account") or house.only_account()
    symbol = required("symbol", params.text("symbol"))
    side = required("side", params.choice("side", "long", "short"))
    usd, quantity = params.positive("usd"), params.positive("quantity")
    stop_pct, stop_price = params.positive("stop_pct"), params.positive("stop_price")
    trails = params.flag("trailing")
    targets = params.rows("take_profits", "pct", "fraction")
    params.done()
    if usd is not None and quantity is not None:
        raise refused("usd", usd, "give usd or quantity, not both")
    if stop_pct is not None and stop_price is not None:
        raise refused("stop_pct", stop_pct, "give stop_pct or stop_price, not both")
    if stop_pct is not None and stop_pct >= 100:
        raise refused("stop_pct", stop_pct, "must be less than 100 per cent")
    order = OpenByHand(
        account=house.known_account(account),
        symbol=symbol,
        side=PositionSide(side),
        usd=usd,
        quantity=quantity,
        stop_pct=stop_pct,
        stop_price=stop_price,
        trails=trails,
        uid=caller.uid,
        take_profits=None if targets is None else _targets(targets),
    )
    answer = _opened(house, order)
    if isinstance(answer, EntriesRefused) and answer.code == NOT_YET:
        raise AdminError(NOT_NOW, f"position.open: {answer.figures['reason']}", answer.figures)
    if isinstance(answer, EntriesRefused):
        figures = ", ".join(f"{key} {value}" for key, value in answer.figures.items())
        data = {"code": answer.code, **answer.figures}
        raise AdminError(REFUSED, f"position.open refused: {answer.code} ({figures})", data)
    return house.position(answer, house.clock.now())


def _opened(house: Answering, order: OpenByHand) -> Position | EntriesRefused:
    """The desk's answer; right after a start it may take a moment to know enough for one."""
    deadline = house.clock.monotonic() + ANSWER_S
    while True:
        answer: Position | EntriesRefused = house.directory.ask(messages.ENTRY_DESK, order, ANSWER_S)
        refused_yet = isinstance(answer, EntriesRefused) and answer.code == NOT_YET
        if not refused_yet or house.clock.monotonic() > deadline:
            return answer
        threading.Event().wait(LOOK_EVERY_S)


def close(house: Answering, params: Parameters, caller: Caller) -> object:
    position_id, fraction = required("id", params.whole("id")), params.positive("fraction")
    params.done()
    if fraction is not None and fraction > 1:
        raise refused("fraction", fraction, "must be at most 1")
    wanted = CloseWanted(reason=CloseReason.OPERATOR, fraction=fraction or Decimal(1))
    return _operate(house, position_id, wanted, "position.close", caller)


def set_stop(house: Answering, params: Parameters, caller: Caller) -> object:
    position_id, price = required("id", params.whole("id")), required("price", params.positive("price"))
    params.done()
    return _operate(house, position_id, StopWanted(price=price), "position.set_stop", caller)


def set_trailing(house: Answering, params: Parameters, caller: Caller) -> object:
    position_id = required("id", params.whole("id"))
    state = house.wiring.owners.state(PositionId(position_id))
    enabled = params.flag("enabled")
    activation, callback = params.positive("activation_pct"), params.positive("callback_pct")
    params.done()
    for name, value in (("activation_pct", activation), ("callback_pct", callback)):
        if value is not None and value >= 100:
            raise refused(name, value, "must be less than 100 per cent")
    rules = TrailingRules() if state is None else state.plan.trailing  # without a state it is refused below
    rules = replace(
        rules,
        enabled=rules.enabled if enabled is None else enabled,
        activation_pct=activation or rules.activation_pct,
        callback_pct=callback or rules.callback_pct,
        atr_multiple=None if callback else rules.atr_multiple,  # per cents take the place of ATRs
    )
    return _operate(house, position_id, TrailingWanted(rules=rules), "position.set_trailing", caller)


def release(house: Answering, params: Parameters, caller: Caller) -> object:
    position_id = required("id", params.whole("id"))
    params.done()
    return _operate(house, position_id, Release(), "position.release", caller)


def _operate(house: Answering, position_id: int, wanted: object, method: str, caller: Caller) -> object:
    """Have the owner hear an operator's wish."""
    state = house.wiring.owners.state(PositionId(position_id))
    if state is None:
        past = load(house.wiring.reader.pool, PositionId(position_id))
        if past is None:
            raise AdminError(UNKNOWN_ID, f"position {position_id}: there is no such position", {"id": position_id})
        data = {"id": position_id, "state": past.phase.name}
        raise AdminError(REFUSED, f"position {position_id} is {past.phase.name}: its life is over", data)
    order = OperatorInput(input=wanted, method=method, uid=caller.uid)
    try:
        answer: Position = house.directory.ask(messages.position(PositionId(position_id)), order, ANSWER_S)
    except RefusedByPosition as refusal:
        raise AdminError(REFUSED, str(refusal)) from refusal
    return house.position(answer, house.clock.now())


def _targets(rows: list[dict[str, Decimal]]) -> tuple[TakeProfit, ...]:
    """Take-profits as an operator wrote them. A single one is for the whole position unless it says otherwise."""
    found: list[TakeProfit] = []
    for number, row in enumerate(rows):
        pct = required(f"take_profits[{number}].pct", row.get("pct"))
        fraction = row.get("fraction", Decimal(1) if len(rows) == 1 else None)
        found.append(TakeProfit(pct=pct, fraction=required(f"take_profits[{number}].fraction", fraction)))
    return tuple(found)
