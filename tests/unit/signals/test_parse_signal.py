"""One signal of a frame: what is taken, and what is refused with field, value and rule."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.entries.signal import Action, MalformedSignal, UnsupportedAction, parse_signal

GOOD: dict[str, Any] = {
    "id": "s-1",
    "symbol": "BTCUSDT",
    "exchange": "binanceusdm",
    "account": "main",
    "action": "BUY",
    "score_week": Decimal("71.5"),
    "score_month": 66,
    "wave": "2026-11-21T12:00",
    "created_at": "2026-11-21T12:00:30.500+02:00",
}
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def test_a_good_one() -> None:
    signal = parse_signal(GOOD)
    assert (signal.id, signal.symbol, signal.exchange, signal.account) == ("s-1", "BTCUSDT", "binanceusdm", "main")
    assert (signal.action, signal.score_week, signal.score_month) == (Action.BUY, Decimal("71.5"), Decimal(66))
    assert signal.created_at == datetime(2026, 11, 21, 10, 0, 30, 500_000, UTC)
    assert signal.created_at.tzinfo is UTC
    assert signal.key("BTCUSDT") == "BTCUSDT:BUY:2026-11-21T10:00"


def test_the_rest_may_be_absent() -> None:
    bare = {name: GOOD[name] for name in ("id", "symbol", "exchange", "action", "created_at")}
    signal = parse_signal(bare | {"unheard_of": [1]})
    assert (signal.account, signal.score_week, signal.score_month, signal.wave) == (None, None, None, None)


@pytest.mark.parametrize(
    ("field", "value", "taken"),
    [
        ("id", 17, "17"),
        ("action", "sell", Action.SELL),
        ("action", "CLOSE", Action.CLOSE),
        ("action", "hold", UnsupportedAction("HOLD")),
        ("action", " BUY", UnsupportedAction(" BUY")),
        ("score_week", "1e-20", Decimal("1e-20")),
        ("created_at", 1_795_262_430_123, datetime(2026, 11, 21, 12, 0, 30, 123_000, UTC)),
        ("created_at", "2026-11-21T12:00:30Z", datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)),
        ("account", "", None),
    ],
)
def test_taken_as(field: str, value: object, taken: object) -> None:
    assert getattr(parse_signal({**GOOD, field: value}), field) == taken


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("id", None, "id=None: is required"),
        ("id", "", "id='': is required"),
        ("id", "  ", "id='  ': is required"),
        ("id", True, "id=True: must be text"),
        ("id", ["s"], "id=['s']: must be text"),
        ("id", "a\x00b", "id='a\\x00b': must be printable text of at most 128 characters"),
        ("id", "a\ud800", "must be printable text"),
        ("symbol", "B" * 129, "must be printable text of at most 128 characters"),
        ("symbol", {}, "symbol={}: must be text"),
        ("exchange", None, "exchange=None: is required"),
        ("account", "a\nb", "account='a\\nb': must be printable"),
        ("action", "", "action='': must be one of BUY, SELL, CLOSE"),
        ("action", 7, "action=7: must be one of BUY, SELL, CLOSE"),
        ("action", "BUY\n", "action='BUY\\n': must be printable text"),
        ("action", None, "action=None: must be one of"),
        ("score_week", "lots", "score_week='lots': must be a number"),
        ("score_week", True, "score_week=True: must be a number"),
        ("score_week", Decimal("NaN"), "score_week=Decimal('NaN'): must be a finite number of sensible size"),
        ("score_month", "Infinity", "score_month='Infinity': must be a finite number"),
        ("score_month", "1e400000", "must be a finite number of sensible size"),
        ("score_month", "1." + "3" * 50, "must be a finite number of sensible size"),
        ("wave", 1.5, "wave=1.5: must be text"),
        ("created_at", None, "created_at=None: must be an ISO-8601 time or milliseconds since 1970"),
        ("created_at", "yesterday", "created_at='yesterday': must be an ISO-8601 time"),
        ("created_at", "2026-11-21T12:00:30", "must carry a time zone"),
        ("created_at", "0001-01-01T00:00:00+14:00", "must be an ISO-8601 time"),
        ("created_at", "9999-12-31T23:59:59-14:00", "must be an ISO-8601 time"),
        ("created_at", -5, "created_at=-5: must be"),
        ("created_at", 10**14, "must be an ISO-8601 time or milliseconds"),
    ],
)
def test_refused_with_field_value_and_rule(field: str, value: object, said: str) -> None:
    with pytest.raises(MalformedSignal) as refusal:
        parse_signal({**GOOD, field: value})
    assert said in str(refusal.value)
    assert str(refusal.value).startswith(f"{field}=")


def test_every_wrong_field_is_named() -> None:
    with pytest.raises(MalformedSignal) as refusal:
        parse_signal({"id": "s", "action": 7, "score_week": "x"})
    said = str(refusal.value)
    assert [name for name in GOOD if f"{name}=" in said] == ["symbol", "exchange", "action", "score_week", "created_at"]


@pytest.mark.parametrize("raw", [None, 7, "x", [GOOD], []])
def test_no_object(raw: object) -> None:
    with pytest.raises(MalformedSignal, match="must be an object"):
        parse_signal(raw)


@given(st.sampled_from(sorted(GOOD)), values)
@example("score_week", 10**4000)
@example("id", 10**200)
def test_whatever_comes_is_taken_whole_or_refused(field: str, value: object) -> None:
    try:
        signal = parse_signal({**GOOD, field: value})
    except MalformedSignal:
        return
    json.dumps(signal.id + signal.symbol + (signal.wave or ""), ensure_ascii=False).encode()
    assert signal.created_at.utcoffset() == timedelta(0)


@given(st.datetimes(), st.integers(-14 * 60, 14 * 60))
def test_key_is_the_minute_in_utc(moment: datetime, offset_min: int) -> None:
    there = moment.replace(tzinfo=timezone(timedelta(minutes=offset_min)))
    try:
        here = there.astimezone(UTC)
    except OverflowError:
        return
    signal = parse_signal({**GOOD, "created_at": there.isoformat()})
    assert signal.created_at == here
    assert signal.key("X").endswith(f"{here:%H:%M}")
