"""The plan of faults: what a fault is meant for, how often, how long, how likely; what it is told of."""

import json
from typing import Any

import pytest

from adapters.paper_exchange.faults import (
    Aim,
    Fault,
    FaultPlan,
    Happening,
    Ordered,
    Stage,
    happening_of_frame,
    happening_of_request,
)
from adapters.paper_exchange.wire import WireRequest

ORDER = Happening(
    stage=Stage.REQUEST, name="/fapi/v1/order", method="POST", values={"symbol": "BTCUSDT", "type": "MARKET"}
)


class Plan:
    """A plan, its clock, and what it noted."""

    def __init__(self) -> None:
        self.now = 1_000
        self.noted: list[tuple[int, Fault, str]] = []
        self.plan = FaultPlan(
            lambda: self.now, 1, lambda o, happening: self.noted.append((o.number, o.fault, happening.name))
        )

    def order(self, fault: Fault = Fault.DROP_REPLY, **more: Any) -> Ordered:
        aim = Aim(**{name: more.pop(name) for name in ("name", "method", "where") if name in more})
        return self.plan.order(Ordered(fault=fault, aim=aim, **more))

    def struck(self, happening: Happening = ORDER, times: int = 1) -> int:
        return sum(self.plan.strike(happening) is not None for _ in range(times))


@pytest.mark.parametrize(
    ("aim", "fits"),
    [
        ({}, True),
        ({"name": "order"}, True),
        ({"name": "/fapi/v1/order"}, True),
        ({"name": "rder"}, False),
        ({"name": "algoOrder"}, False),
        ({"method": "GET"}, False),
        ({"method": "POST"}, True),
        ({"where": {"symbol": "BTCUSDT", "type": "MARKET"}}, True),
        ({"where": {"symbol": "ETHUSDT"}}, False),
        ({"where": {"type": "*"}}, True),
        ({"where": {"triggerPrice": "*"}}, False),
        ({"where": {"triggerPrice": ""}}, True),
        ({"where": {"type": ""}}, False),
    ],
)
def test_what_a_fault_is_meant_for(aim: dict[str, Any], fits: bool) -> None:
    assert Aim(**aim).fits(ORDER) is fits


def test_a_fault_strikes_as_often_as_ordered() -> None:
    plan = Plan()
    plan.order(left=2)
    assert plan.struck(times=5) == 2
    assert plan.plan.waiting() == []


def test_a_fault_that_lasts_strikes_until_its_time_is_over() -> None:
    plan = Plan()
    plan.order(left=None, until=2_000)
    assert plan.struck(times=3) == 3
    plan.now = 1_999
    assert plan.struck() == 1
    plan.now = 2_000
    assert plan.struck() == 0


def test_a_fault_lets_pass_what_it_is_to_skip() -> None:
    plan = Plan()
    plan.order(skip=2)
    assert [plan.struck() for _ in range(4)] == [0, 0, 1, 0]


def test_a_share_is_a_share_and_the_same_every_time() -> None:
    def run() -> list[int]:
        plan = Plan()
        plan.order(left=None, percent=30)
        return [plan.struck() for _ in range(1_000)]

    first = run()
    assert 240 < sum(first) < 360
    assert run() == first


def test_one_ending_and_all_the_delays_befall_one_request() -> None:
    plan = Plan()
    plan.order(Fault.DELAY, before_ms=5)
    plan.order(Fault.DROP_REPLY)
    plan.order(Fault.DROP_REQUEST)
    plan.order(Fault.STALE, ms=9)
    assert [o.fault for o in plan.plan.strikes(ORDER)] == [Fault.DELAY, Fault.DROP_REPLY, Fault.STALE]
    assert [o.fault for o in plan.plan.strikes(ORDER)] == [Fault.DROP_REQUEST]


def test_a_stage_hears_of_its_own_faults_only() -> None:
    plan = Plan()
    plan.order(Fault.LOSE)
    assert plan.struck() == 0
    assert plan.plan.expects(Stage.FRAME)
    assert not plan.plan.expects(Stage.REQUEST)
    plan.order(Fault.DROP_REPLY)
    assert plan.struck(times=2) == 1
    assert [o.fault for o in plan.plan.waiting()] == [Fault.LOSE]


def test_faults_can_be_called_off() -> None:
    plan = Plan()
    first, _second, third = plan.order(), plan.order(), plan.order()
    assert plan.plan.clear(first.number) == 1
    assert [o.number for o in plan.plan.waiting()] == [2, third.number]
    assert plan.plan.clear() == 2
    assert plan.plan.clear(99) == 0
    assert plan.struck() == 0


def test_every_strike_is_noted() -> None:
    plan = Plan()
    plan.order(Fault.HANG, left=2)
    plan.struck(times=3)
    assert plan.noted == [(1, Fault.HANG, "/fapi/v1/order")] * 2


@pytest.mark.parametrize(
    ("query", "body", "values"),
    [
        ("symbol=BTCUSDT&type=", "side=BUY", {"symbol": "BTCUSDT", "type": "", "side": "BUY"}),
        ("", '{"symbol": "BTCUSDT", "idx": 1, "all": true}', {"symbol": "BTCUSDT", "idx": "1", "all": "true"}),
        ("", "{nonsense", {}),
        ("", '{"a": null}', {"a": "null"}),
    ],
)
def test_the_parameters_of_any_request(query: str, body: str, values: dict[str, str]) -> None:
    request = WireRequest(method="POST", path="/x", query=query, body=body, headers={})
    assert happening_of_request(request).values == values


@pytest.mark.parametrize(
    ("frame", "name", "values"),
    [
        ({"e": "markPriceUpdate", "s": "BTCUSDT"}, "markPriceUpdate", {"symbol": "BTCUSDT"}),
        ([{"e": "markPriceUpdate", "s": "ETHUSDT"}], "markPriceUpdate", {"symbol": "ETHUSDT"}),
        ({"stream": "a", "data": {"e": "bookTicker", "s": "BTCUSDT"}}, "bookTicker", {"symbol": "BTCUSDT"}),
        (
            {"e": "ORDER_TRADE_UPDATE", "o": {"s": "BTCUSDT", "X": "FILLED", "c": "e1"}},
            "ORDER_TRADE_UPDATE",
            {"symbol": "BTCUSDT", "status": "FILLED", "client_id": "e1"},
        ),
        ({"e": "ACCOUNT_UPDATE", "a": {"P": [{"s": "BTCUSDT"}]}}, "ACCOUNT_UPDATE", {"symbol": "BTCUSDT"}),
        ({"e": "ACCOUNT_UPDATE", "a": {"P": []}}, "ACCOUNT_UPDATE", {}),
        (
            {"topic": "order", "data": [{"symbol": "BTCUSDT", "orderStatus": "Filled", "orderLinkId": "e1"}]},
            "order",
            {"symbol": "BTCUSDT", "status": "Filled", "client_id": "e1"},
        ),
        ({"topic": "tickers.BTCUSDT", "data": {"symbol": "BTCUSDT"}}, "tickers.BTCUSDT", {"symbol": "BTCUSDT"}),
    ],
)
def test_what_a_frame_tells(frame: Any, name: str, values: dict[str, str]) -> None:
    happening = happening_of_frame(json.dumps(frame))
    assert happening is not None
    assert happening.name == name
    assert {key: value for key, value in happening.values.items() if value} == values


@pytest.mark.parametrize("text", ['{"result": null, "id": 1}', '{"op": "pong"}', "pong", "[]", "3"])
def test_what_is_no_event_is_left_alone(text: str) -> None:
    assert happening_of_frame(text) is None


def test_a_topic_is_aimed_at_by_its_beginning() -> None:
    happening = happening_of_frame('{"topic": "tickers.BTCUSDT", "data": {}}')
    assert happening is not None
    assert Aim(name="tickers").fits(happening)
    assert not Aim(name="ticker").fits(happening)
