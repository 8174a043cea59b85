"""The digest: once a day, at its hour, and what it says."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from domain.alerting.digest import Day, due, words

YESTERDAY = date(2026, 11, 29)


@pytest.mark.parametrize(
    ("hour_now", "hour", "told", "day"),
    [
        (7, 7, "2026-11-28", YESTERDAY),
        (23, 7, "2026-11-28", YESTERDAY),  # later than its hour: told all the same
        (6, 7, "2026-11-28", None),
        (7, 7, "2026-11-29", None),
        (7, 7, "2026-11-30", None),
        (7, -1, "2026-11-28", None),
        (0, 0, "2026-11-20", YESTERDAY),  # what was missed for days is not told in a flood
    ],
)
def test_when_it_is_due(hour_now: int, hour: int, told: str, day: date | None) -> None:
    assert due(datetime(2026, 11, 30, hour_now, 5, tzinfo=UTC), hour, told) == day


def test_its_words() -> None:
    reasons = {f"reason_{number}": 9 - number for number in range(8)}
    day = Day(
        day=YESTERDAY,
        closed=5,
        won=3,
        net_pnl=Decimal("12.5"),
        fees=Decimal("1.25"),
        fees_apart={"BNB": Decimal("0.01")},
        unprotected_seconds=Decimal("0.25"),
        refused=reasons,
        grave={"critical": 1, "warning": 7},
    )
    assert words(day) == (
        "DAILY_DIGEST 2026-11-29: unprotected 0.25 s; 5 positions closed, 3 with a profit, net P&L 12.5 (fees 1.25, "
        "and 0.01 BNB at no known price); "
        "44 signals refused (9 reason_0, 8 reason_1, 7 reason_2, 6 reason_3, 5 reason_4, 4 reason_5, 5 others); "
        "events: 1 critical, 0 error, 7 warning"
    )
