"""The judgement of a house finds what is wrong with it, each thing by its name, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import judgement
from tests.chaos.__main__ import VENUES
from tests.chaos.house import House
from tests.chaos.judgement import judge_house
from tests.chaos.monkey import FIRST_LIMIT_S
from tests.chaos.whole import held
from tests.end_to_end.signal_source import signal_row

HANG = "reconciler/second"


@pytest.mark.chaos
@pytest.mark.e2e
@pytest.mark.timeout(180)
def test_what_is_wrong_with_a_house_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("ANSWERED_WITHIN_S", "CALM_S"):
        monkeypatch.setattr(judgement, limit, 6.0)  # no longer for an answer that will not come
    with House(tmp_path, 2, VENUES, None) as house:
        house.service.wait_for(lambda: all(held(each) for each in house.exchanges.values()), FIRST_LIMIT_S, "positions")
        house.service.ctl("actors.kill", name=HANG, how="hang")  # and the house is not told
        house.service.wait_event("actor_hung")
        house.service.wait_event("actor_restarted")
        house.flow.stop()
        house.flow.sent.append(signal_row("never-sent", "BTCUSDT"))
        (house.service.state_dir / "refused").mkdir(exist_ok=True)
        (house.service.state_dir / "refused" / "record.json").write_text("{}")
        house.complaints.append("something said so on the way")
        found = judge_house(house)
    assert sorted(found.violations) == [
        f"abandoned, and not by us: {HANG}",
        "refused by the database: record.json",
        "signal never-sent: sent and never stored",
        "something said so on the way",
    ]
    assert found.verdicts.keys() == VENUES.keys()
    assert sum(len(each.lives) + len(each.open_lives) for each in found.verdicts.values()) > 0
