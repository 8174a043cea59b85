"""Take-profits of the running service on the paper exchange: taken in turn, gone when flat, kept over a kill -9."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from adapters.admin.protocol import INVALID_PARAMS, REFUSED, AdminError
from tests.end_to_end.conftest import judge
from tests.end_to_end.service import ServiceProcess, running
from tests.end_to_end.test_protection import live_orders
from tests.oracle.facts import Order
from tests.oracle.reader import AlgoLine

pytestmark = pytest.mark.chaos

HALVES = [{"pct": "1", "fraction": "0.5"}, {"pct": "2", "fraction": "0.5"}]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with running(tmp_path_factory.mktemp("targets"), {"entries": {"cooldown_s": 0}}) as started:
        yield started


def opened_with(service: ServiceProcess, symbol: str, side: str, goals: list[dict[str, str]]) -> dict[str, Any]:
    """A protected position whose take-profits rest on the exchange."""
    opened = service.open(symbol, side, take_profits=goals, trailing=False)
    return service.wait_position(
        opened["id"], lambda p: all(t["state"] == "LIVE" for t in p["take_profits"]), 20, "take-profits that rest"
    )


def covers(stop: Order) -> Decimal | None:
    """The quantity that a stop would close; None: the whole position."""
    assert isinstance(stop.latest, AlgoLine)
    return None if stop.latest.close_position else stop.latest.quantity


@pytest.mark.parametrize(("symbol", "side", "sign"), [("XRPUSDT", "long", 1), ("DOGEUSDT", "short", -1)])
def test_each_is_taken_in_turn(service: ServiceProcess, symbol: str, side: str, sign: int) -> None:
    opened = opened_with(service, symbol, side, HALVES)
    whole, entry = Decimal(opened["quantity"]), Decimal(opened["entry_price"])
    near, far = opened["take_profits"]
    assert Decimal(near["quantity"]) + Decimal(far["quantity"]) == whole
    for target, percent in ((near, 1), (far, 2)):
        assert abs(Decimal(target["price"]) / entry - 1) * 100 >= percent
        assert target["order_id"]
    service.move_mark(symbol, str(Decimal("1.1") * sign))
    half = service.wait_position(
        opened["id"], lambda p: Decimal(p["quantity"]) == Decimal(far["quantity"]), 20, "the first half taken"
    )
    assert half["state"] == "ACTIVE"
    service.wait_for(
        lambda: [covers(o) for o in live_orders(service, symbol) if o.our_stop] in ([None], [Decimal(far["quantity"])]),
        10,
        "one stop of the new size, or one that closes whatever is there",
    )
    service.move_mark(symbol, str(Decimal("1.1") * sign))
    service.wait_state(opened["id"], "CLOSED")
    (closed,) = [p for p in service.positions(all=True) if p["id"] == opened["id"]]
    assert closed["close_reason"] == "take_profit"
    assert Decimal(closed["realized_pnl"]) > 0
    assert live_orders(service, symbol) == []
    types = [e["type"] for e in service.events(position=opened["id"])]
    assert types.count("take_profit_placed") == types.count("take_profit_filled") == 2
    placed = [each["data"] for each in service.events(position=opened["id"], type="take_profit_placed")]
    assert {each["tp_order_id"] for each in placed} == {near["order_id"], far["order_id"]}
    assert all(each["sl_order_id"] for each in placed)
    judge(service)


def test_a_close_takes_them_along(service: ServiceProcess) -> None:
    opened = opened_with(service, "ADAUSDT", "long", HALVES)
    service.ctl("position.close", id=opened["id"])
    service.wait_state(opened["id"], "CLOSED")
    assert live_orders(service, "ADAUSDT") == []


def test_wrong_ones_are_refused_by_name(service: ServiceProcess) -> None:
    for goals, code, words in (
        ([{"pct": "1", "fraction": "2"}], REFUSED, "fraction must be greater than 0 and at most 1"),
        ([{"pct": "-1"}], INVALID_PARAMS, "take_profits[0].pct = -1: must be greater than 0"),
        ([{"percent": "1"}], INVALID_PARAMS, "take_profits[0].percent = 1: is not a parameter"),
        ([{"pct": "1"}, {"pct": "2"}], INVALID_PARAMS, "take_profits[0].fraction is required"),
        ("1", INVALID_PARAMS, "must be a list of objects with pct, fraction"),
    ):
        with pytest.raises(AdminError) as told:
            service.ctl("position.open", symbol="ADAUSDT", side="long", usd="500", take_profits=goals)
        assert told.value.code == code
        assert words in told.value.message


def test_they_outlive_a_kill(service: ServiceProcess) -> None:
    opened = opened_with(service, "BTCUSDT", "long", [{"pct": "1"}])
    (target,) = opened["take_profits"]
    service.kill9()
    service.restart()
    again = service.wait_position(
        opened["id"], lambda p: [t["state"] for t in p["take_profits"]] == ["LIVE"], 20, "the same take-profit"
    )
    assert again["take_profits"][0]["order_id"] == target["order_id"]
    service.kill9()
    service.move_mark("BTCUSDT", "1.2")  # it is taken while nobody watches
    service.restart()
    service.wait_state(opened["id"], "CLOSED")
    (closed,) = [p for p in service.positions(all=True) if p["id"] == opened["id"]]
    assert closed["close_reason"] == "take_profit"
    assert live_orders(service, "BTCUSDT") == []
    judge(service)
