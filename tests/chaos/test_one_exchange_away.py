"""One account's exchange cannot be reached when the service starts: the other account is protected all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.__main__ import VENUES
from tests.chaos.house import House
from tests.chaos.monkey import FIRST_LIMIT_S
from tests.chaos.whole import await_whole, held, owned
from tests.chaos.wire_faults import What

pytestmark = [pytest.mark.chaos, pytest.mark.e2e, pytest.mark.timeout(240)]


def test_started_while_one_exchange_is_away(tmp_path: Path) -> None:
    with House(tmp_path, 1, VENUES, None) as house:
        house.service.wait_for(lambda: all(held(each) for each in house.exchanges.values()), FIRST_LIMIT_S, "positions")
        house.flow.stop()
        house.service.kill9()
        house.proxy.order(What.CUT_REST, "second", for_ms=120_000)
        house.service.restart()
        actors = {each["name"]: each["state"] for each in house.service.ctl("actors")["actors"]}
        assert actors["gateway/main"] == "RUNNING"
        assert actors["gateway/second"] != "RUNNING"
        house.service.wait_for(lambda: main_is_whole(house), 20, "main owned and covered")
        house.proxy.heal()
        assert await_whole(house).complaints == []


def main_is_whole(house: House) -> bool:
    rows = owned(house, house.exchanges["main"])
    return rows is not None and not any(each.missing(rows) for each in held(house.exchanges["main"]))
