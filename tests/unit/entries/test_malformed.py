"""Limits of what a signal may hold, each with its nearest neighbour, and the words of a refusal."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from domain.entries.signal import MalformedSignal, parse_signal

GOOD: dict[str, Any] = {
    "id": "s-1",
    "symbol": "BTCUSDT",
    "exchange": "bybit",
    "action": "SELL",
    "created_at": "2026-11-21T12:00:30Z",
}


def refused(raw: object) -> str:
    with pytest.raises(MalformedSignal) as refusal:
        parse_signal(raw)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("field", "value", "taken"),
    [
        ("wave", "w" * 128, "w" * 128),
        ("score_week", "1e20", Decimal("1e20")),
        ("score_week", "-1e-20", Decimal("-1e-20")),
        ("score_month", "1." + "3" * 39, Decimal("1." + "3" * 39)),
        ("created_at", 1, datetime(1970, 1, 1, 0, 0, 0, 1_000, tzinfo=UTC)),
        ("created_at", 10**14 - 1, datetime(5138, 11, 16, 9, 46, 39, 999_000, tzinfo=UTC)),
    ],
)
def test_taken_at_the_limit(field: str, value: object, taken: object) -> None:
    assert getattr(parse_signal({**GOOD, field: value}), field) == taken


SIZE = "must be a finite number of sensible size"
WHEN = "must be an ISO-8601 time or milliseconds since 1970"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("wave", "w" * 129, f"wave='{'w' * 76}...: must be printable text of at most 128 characters"),
        ("score_week", "1e21", f"score_week='1e21': {SIZE}"),
        ("score_week", "1e-21", f"score_week='1e-21': {SIZE}"),
        ("score_month", "1." + "3" * 40, f"score_month='1.{'3' * 40}': {SIZE}"),
        ("created_at", 0, f"created_at=0: {WHEN}"),
        ("created_at", 10**14, f"created_at=100000000000000: {WHEN}"),
        ("created_at", "2026-11-21T12:00", "created_at='2026-11-21T12:00': must carry a time zone"),
        ("id", ["x" * 76], f"id=['{'x' * 76}']: must be text"),
        ("id", ["x" * 77], f"id=['{'x' * 75}...: must be text"),
    ],
)
def test_refused_beyond_it_in_words(field: str, value: object, words: str) -> None:
    assert refused({**GOOD, field: value}) == words


def test_what_is_no_signal_is_shown() -> None:
    assert refused(7) == "signal=7: must be an object"


def test_several_faults_are_told_in_one_line() -> None:
    assert refused({**GOOD, "id": None, "action": 7}) == (
        "id=None: is required; action=7: must be one of BUY, SELL, CLOSE"
    )
