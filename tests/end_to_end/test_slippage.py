"""The slippage bound of the running service on the paper exchange, in each dialect: refused, or in two tries."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.end_to_end.conftest import judge
from tests.end_to_end.service import Sections, ServiceProcess, running

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module", params=["binanceusdm", "bybit"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    settings: Sections = {"accounts.main": {"exchange": request.param}, "entries": {"slippage_pct": Decimal("0.5")}}
    with running(tmp_path_factory.mktemp(request.param), settings) as started:
        yield started


def entered(service: ServiceProcess, symbol: str, side: str) -> dict[str, Any]:
    service.wait_price(symbol)
    opened: dict[str, Any] = service.ctl("position.open", account="main", symbol=symbol, side=side, usd="500")
    return opened


def placed(service: ServiceProcess, position_id: int) -> list[dict[str, Any]]:
    """What was told of each order of the entry."""
    return [event["data"] for event in service.events(type="entry_placed", position=position_id)]


@pytest.mark.parametrize(("symbol", "side", "sign"), [("ETHUSDT", "long", 1), ("SOLUSDT", "short", -1)])
def test_a_gap_beyond_the_bound_buys_nothing(service: ServiceProcess, symbol: str, side: str, sign: int) -> None:
    service.wait_price(symbol)
    path = "/v5/order/create" if service.bybit else "/fapi/v1/order"
    service.control("delay", before_ms=1_400, method="POST", path=path, where={"symbol": symbol})
    opened = entered(service, symbol, side)
    service.wait_event("entry_placed", position=opened["id"])
    service.move_mark(symbol, str(Decimal(1) * sign))  # while the entry is on its way
    failed = service.wait_state(opened["id"], "FAILED")
    assert failed["close_reason"] == "slippage"
    (first,) = placed(service, opened["id"])
    (told,) = [e["data"] for e in service.events(type="position_failed", position=opened["id"])]
    assert (told["reason"], told["tries"], told["limit_price"]) == ("slippage", 1, first["limit_price"])
    beyond = (Decimal(told["mark_price"]) - Decimal(told["limit_price"])) * sign
    assert beyond > 0
    assert all(life.owner != opened["id"] for life in service.verdict().lives)
    assert service.events(type="fill", position=opened["id"]) == []
    judge(service)


@pytest.mark.parametrize(("symbol", "side", "sign"), [("XRPUSDT", "long", 1), ("DOGEUSDT", "short", -1)])
def test_half_is_filled_and_the_rest_in_a_second_try(
    service: ServiceProcess, symbol: str, side: str, sign: int
) -> None:
    service.wait_price(symbol)
    service.control("cut_fill", share=50, where={"symbol": symbol, "reduce_only": ""})
    opened = entered(service, symbol, side)
    whole = service.wait_position(
        opened["id"],
        lambda p: p["state"] == "ACTIVE" and Decimal(p["quantity"]) == Decimal(placed(service, p["id"])[0]["quantity"]),
        15,
        "all of it",
    )
    first, second = placed(service, opened["id"])
    assert (first["try"], second["try"]) == (1, 2)
    assert first["limit_price"] == second["limit_price"]
    assert 0 < Decimal(second["quantity"]) < Decimal(first["quantity"])
    limit = Decimal(first["limit_price"])
    for fill in service.events(type="fill", position=opened["id"]):
        assert (Decimal(fill["data"]["price"]) - limit) * sign <= 0
    if service.bybit:
        assert Decimal(whole["unprotected_seconds"]) == 0
    service.ctl("position.close", id=opened["id"])
    service.wait_state(opened["id"], "CLOSED")
    judge(service)


def test_a_part_in_both_tries_is_a_smaller_position_that_outlives_a_kill(service: ServiceProcess) -> None:
    service.wait_price("ADAUSDT")
    service.control("cut_fill", share=40, next=2, where={"symbol": "ADAUSDT", "reduce_only": ""})
    opened = entered(service, "ADAUSDT", "long")
    service.wait_for(
        lambda: len(service.events(type="entry_filled", position=opened["id"])) == 2, 20, "two tries, filled in part"
    )
    before = service.wait_state(opened["id"], "ACTIVE")
    assert 0 < Decimal(before["quantity"]) < Decimal(placed(service, opened["id"])[0]["quantity"])
    service.kill9()
    service.restart()
    after = service.wait_state(opened["id"], "ACTIVE")
    assert after["quantity"] == before["quantity"]
    assert len(placed(service, opened["id"])) == 2
    service.ctl("position.close", id=opened["id"])
    service.wait_state(opened["id"], "CLOSED")
    judge(service)
