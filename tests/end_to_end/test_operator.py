"""What an operator does over the control socket, right and wrong, and what the service makes of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from adapters.admin.protocol import INVALID_PARAMS, METHOD_NOT_FOUND, NOT_NOW, REFUSED, UNKNOWN_ID, AdminError
from tests.end_to_end.service import ServiceProcess

GOOD: dict[str, Any] = {"account": "main", "symbol": "BTCUSDT", "side": "long", "usd": "500"}


@pytest.mark.parametrize(
    ("change", "codes", "word"),
    [
        ({"symbol": None}, {INVALID_PARAMS}, "symbol"),
        ({"symbol": "NOSUCHUSDT"}, {INVALID_PARAMS, REFUSED}, "NOSUCHUSDT"),
        ({"side": "up"}, {INVALID_PARAMS}, "side"),
        ({"usd": "-5"}, {INVALID_PARAMS}, "usd"),
        ({"usd": "much"}, {INVALID_PARAMS}, "usd"),
        ({"usd": "NaN"}, {INVALID_PARAMS}, "usd"),
        ({"usd": "1"}, {REFUSED}, "1"),
        ({"stop_pct": "-2"}, {INVALID_PARAMS}, "stop_pct"),
        ({"stop_price": "99999999"}, {INVALID_PARAMS, REFUSED}, "99999999"),
        ({"account": "nobody"}, {INVALID_PARAMS, REFUSED, UNKNOWN_ID}, "nobody"),
        ({"colour": "red"}, {INVALID_PARAMS}, "colour"),
    ],
)
def test_open_with_bad_arguments(shared: ServiceProcess, change: dict[str, Any], codes: set[int], word: str) -> None:
    params = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(AdminError) as refusal:
        shared.ctl("position.open", **params)
    assert refusal.value.code in codes, refusal.value.message
    assert word in refusal.value.message


@pytest.mark.parametrize("method", ["position.show", "position.close"])
def test_unknown_position(shared: ServiceProcess, method: str) -> None:
    with pytest.raises(AdminError) as refusal:
        shared.ctl(method, id=12345)
    assert refusal.value.code == UNKNOWN_ID
    assert "12345" in refusal.value.message


def test_unknown_method(shared: ServiceProcess) -> None:
    with pytest.raises(AdminError) as refusal:
        shared.ctl("position.explode")
    assert refusal.value.code == METHOD_NOT_FOUND


def test_ctl_exit_codes(shared: ServiceProcess) -> None:
    unknown = shared.main("ctl", "position.show", "12345")
    assert unknown.returncode == 1
    assert "12345" in unknown.stderr
    assert "Traceback" not in unknown.stderr


def test_open_and_close(shared: ServiceProcess) -> None:
    opened = shared.open("BTCUSDT", "long", "500")
    assert Decimal(opened["stop_price"]) < Decimal(opened["entry_price"])
    assert opened["stop_order_id"]
    with pytest.raises(AdminError) as again:
        shared.ctl("position.open", **GOOD)
    assert again.value.code == REFUSED
    for fraction in ("0", "1.5", "half"):
        with pytest.raises(AdminError) as refusal:
            shared.ctl("position.close", id=opened["id"], fraction=fraction)
        assert refusal.value.code == INVALID_PARAMS
        assert "fraction" in refusal.value.message
    shared.ctl("position.close", id=opened["id"])
    shared.wait_state(opened["id"], "CLOSED")
    with pytest.raises(AdminError) as late:
        shared.ctl("position.close", id=opened["id"])
    assert late.value.code in (REFUSED, NOT_NOW, UNKNOWN_ID)


def test_close_a_part(shared: ServiceProcess) -> None:
    opened = shared.open("XRPUSDT", "short")
    whole = Decimal(opened["quantity"])
    shared.ctl("position.close", id=opened["id"], fraction="0.5")
    step = shared.terms.filters["XRPUSDT"].step
    rest = shared.wait_position(
        opened["id"], lambda p: abs(Decimal(p["quantity"]) * 2 - whole) <= step and p["state"] == "ACTIVE", 20, "a half"
    )
    assert Decimal(rest["quantity"]) < whole


def test_pause_and_resume(shared: ServiceProcess) -> None:
    shared.ctl("entries.pause", reason="lunch")
    try:
        assert "lunch" in str(shared.ctl("status")["entries"])
        with pytest.raises(AdminError) as refusal:
            shared.ctl("position.open", **{**GOOD, "symbol": "AVAXUSDT"})
        assert refusal.value.code in (REFUSED, NOT_NOW)
        assert "lunch" in refusal.value.message
    finally:
        shared.ctl("entries.resume")
    opened = shared.open("AVAXUSDT")
    assert opened["state"] == "ACTIVE"
    shared.ctl("position.close", id=opened["id"])  # the next test on the symbol finds it free
    shared.wait_state(opened["id"], "CLOSED")


def test_second_service_on_the_same_state(shared: ServiceProcess) -> None:
    second = shared.main("run")
    assert second.returncode == 3, second.stderr
    assert "RUN_LOCKED" in second.stdout + second.stderr
    assert shared.ctl("status")["mode"] == "paper"


def test_reconcile_on_demand_finds_nothing(shared: ServiceProcess) -> None:
    shared.ctl("reconcile")
    shared.wait_event("reconcile_finished")
