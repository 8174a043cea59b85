"""Risk levels and aged positions in the running service: what is set is done, once, by the owner; restarts keep it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.end_to_end.agreement import conninfo
from tests.end_to_end.conftest import judge
from tests.end_to_end.service import ServiceProcess, running

ALONE = {f"{name}_weight": 0 for name in ("age", "drawdown", "volatility", "price", "liquidation")}
# The score is the share of the way to the first stop, 2 % away: medium at 0.6 %, high at 1.2 %, critical at 1.7 %.
RISKY: dict[str, Any] = {
    **ALONE, "interval_s": 0.5, "stop_weight": 100, "critical": 85, "emergency": 99, "hysteresis": 5, "settle_s": 0,
    "cooldown_s": 600, "on_medium": "tighten", "on_high": "reduce", "on_critical": "close",
}  # fmt: skip
HOUR = Decimal(3600)
# Break-even at 4 s, half a per cent of loss at 8 s, one at 12 s, any price at 16 s.
OLD = {"max_age_hours": 4 / HOUR, "step_hours": 4 / HOUR, "step_pct": Decimal("0.5"), "max_loss_pct": 1}


def events(service: ServiceProcess, position_id: int, type_: str) -> list[dict[str, Any]]:
    return [each["data"] for each in service.events(type=type_, position=position_id)]


def rows(service: ServiceProcess, position_id: int) -> list[tuple[str, str, Decimal]]:
    """What the table of risk events says of a position."""
    query = "SELECT risk_level, action, score FROM monitoring.risk_events WHERE position_id = %s ORDER BY id"
    with psycopg.connect(conninfo(service.state_dir)) as connection:
        return connection.execute(query, (position_id,)).fetchall()


def test_a_level_is_shown_told_and_stored(shared: ServiceProcess) -> None:
    opened = shared.open("AVAXUSDT")
    sound = shared.wait_position(opened["id"], lambda p: p["risk"]["score"] is not None, 20, "a score")
    assert (sound["risk"]["level"], sound["aging"]) == ("LOW", None)
    shared.move_mark("AVAXUSDT", "-1.9")
    told = shared.wait_event("position_risk_changed", position=opened["id"])
    assert (told["severity"], told["data"]["risk_level"], told["data"]["old_level"]) == ("info", "medium", "low")
    shown = shared.wait_position(opened["id"], lambda p: p["risk"]["level"] == "MEDIUM", 20, "the level")
    assert Decimal(shown["risk"]["dangers"]["stop"]) > 90
    assert shared.wait_for(lambda: rows(shared, opened["id"]), 20, "a row")[0][:2] == ("medium", "none")
    assert Decimal(shown["stop_price"]) == Decimal(opened["stop_price"]), "nothing is set to be done"
    shared.ctl("position.close", id=opened["id"])  # the next test on the symbol finds it free
    shared.wait_state(opened["id"], "CLOSED")


class Venue:
    """A service on one dialect, in one mode."""

    def __init__(self, service: ServiceProcess, *, hedged: bool) -> None:
        self.service = service
        self.hedged = hedged


@pytest.fixture(scope="module", params=["binanceusdm", "bybit-hedge"])
def venue(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    exchange, _, hedge = request.param.partition("-")
    sections = {"accounts.main": {"exchange": exchange, "hedge_mode": bool(hedge)}, "health": RISKY, "aging": OLD}
    with running(tmp_path_factory.mktemp(request.param), sections) as started:
        # Nobody ages before the tests of age.
        text = started.settings.read_text()
        started.settings.write_text(text.replace("[aging]\n", "[aging]\n#"))
        yield Venue(started, hedged=bool(hedge))


@pytest.mark.chaos
def test_what_is_set_for_each_level_is_done_once(venue: Venue) -> None:
    service = venue.service
    service.ctl("settings.reload")
    opened = service.open("ETHUSDT")
    service.move_mark("ETHUSDT", "-0.7")
    tightened = service.wait_position(
        opened["id"], lambda p: Decimal(p["stop_price"]) > Decimal(opened["stop_price"]), 20, "a nearer stop"
    )
    assert tightened["risk"]["level"] == "MEDIUM"
    service.kill9()
    service.restart()
    again = service.wait_position(opened["id"], lambda p: p["risk"]["score"] is not None, 20, "a score")
    assert (again["risk"]["level"], again["stop_price"]) == ("MEDIUM", tightened["stop_price"])
    service.move_mark("ETHUSDT", "-0.55")
    half = service.wait_position(
        opened["id"], lambda p: Decimal(p["quantity"]) < Decimal(opened["quantity"]), 20, "a part closed"
    )
    assert half["state"] == "ACTIVE"

    def told() -> list[tuple[str, str]]:
        changed = events(service, opened["id"], "position_risk_changed")
        return [(each["risk_level"], each["action"]) for each in changed]

    service.wait_for(lambda: len(told()) >= 2 and len(rows(service, opened["id"])) >= 2, 20, "both to be written")
    assert told() == [("medium", "tighten"), ("high", "reduce")]
    assert [each[:2] for each in rows(service, opened["id"])] == told()
    short = service.open("SOLUSDT", "short")
    service.move_mark("SOLUSDT", "1.75")
    assert service.wait_state(short["id"], "CLOSED")["close_reason"] == "risk"
    service.ctl("position.close", id=opened["id"])
    service.wait_state(opened["id"], "CLOSED")
    judge(service)


@pytest.mark.chaos
def test_who_is_too_old_is_left_step_by_step(venue: Venue) -> None:
    service = venue.service
    text = service.settings.read_text().replace("[health]\n", "[health]\nenabled = false\n")
    service.settings.write_text(text.replace("[aging]\n#", "[aging]\n"))
    service.ctl("settings.reload")
    lucky = service.open("XRPUSDT")
    others = [service.open("XRPUSDT", "short")] if venue.hedged else []
    service.move_mark("XRPUSDT", "0.3")
    assert service.wait_state(lucky["id"], "CLOSED")["close_reason"] == "aged"
    assert len(events(service, lucky["id"], "aged_exit")) == 1
    hopeless = service.open("LINKUSDT", "short")
    service.move_mark("LINKUSDT", "1.5")
    service.wait_event("aged_loss_accepted", position=hopeless["id"])
    kept = service.position(hopeless["id"])
    assert kept["aging"]["step"] >= 1
    service.kill9()
    service.restart()
    for opened in (hopeless, *others):
        assert service.wait_state(opened["id"], "CLOSED", limit_s=40)["close_reason"] == "aged"
    assert len(events(service, hopeless["id"], "aged_breakeven")) == 1
    assert len(events(service, hopeless["id"], "aged_close")) == 1
    steps = [each["step"] for each in events(service, hopeless["id"], "aged_loss_accepted")]
    assert steps == sorted(set(steps))
    judge(service)
