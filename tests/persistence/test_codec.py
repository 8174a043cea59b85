"""JSON and back: exact, the same in every run, and readable by the version before and after."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.identity import Epoch
from domain.instrument import Side
from domain.position.state import CloseReason, OrderFills, Phase, Position, Reported
from domain.records import Record, SignalOutcome
from persistence.codec import position_from_json, position_to_json, record_from_json, record_to_json, to_json
from tests.persistence import samples

MONEY = st.decimals(allow_nan=False, allow_infinity=False, places=12) | st.decimals(
    allow_nan=False, allow_infinity=False
)
TIMES = st.datetimes(
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001 - the zone is added by the strategy
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001 - the zone is added by the strategy
    timezones=st.just(UTC),
)
# A NUL has no place in a PostgreSQL text: it comes back as a replacement character, which a test of its own shows.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
FILLS = st.builds(
    OrderFills,
    exchange_id=TEXTS,
    side=st.sampled_from(list(Side)),
    traded=MONEY,
    traded_notional=MONEY,
    trades=st.frozensets(st.text(alphabet="abc123", max_size=4), max_size=4),
)
POSITIONS = st.builds(
    replace,
    st.sampled_from([samples.position(), samples.protected()]),
    phase=st.sampled_from(list(Phase)),
    epoch=st.builds(Epoch, st.integers(1, 10**9), st.integers(1, 10**9)),
    fills=st.lists(FILLS, max_size=3).map(tuple),
    mark_price=st.none() | MONEY,
    unprotected_seconds=MONEY,
    closed_at=st.none() | TIMES,
    close_reason=st.none() | st.sampled_from(list(CloseReason)),
    reported=st.none() | st.builds(Reported, quantity=MONEY, at=TIMES),
)


@given(POSITIONS)
def test_a_position_comes_back_as_it_was(position: Position) -> None:
    text = position_to_json(position)
    assert position_from_json(text) == position
    assert position_to_json(position_from_json(text)) == text


def test_money_keeps_its_last_digit_and_its_zeros() -> None:
    price = Decimal("49000.100000000000000000000000000000000000010")
    back = position_from_json(position_to_json(samples.position(mark_price=price)))
    assert str(back.mark_price) == str(price)


def test_a_set_is_written_sorted() -> None:
    ids = frozenset(str(number) for number in range(50))
    fills = replace(samples.position().fills[0], trades=ids)
    written = json.loads(position_to_json(samples.position(fills=(fills,))))
    assert written["fills"][0]["trades"] == sorted(ids)


def test_rows_of_older_and_newer_versions_load() -> None:
    stored = json.loads(position_to_json(samples.protected()))
    del stored["recoveries"]  # not yet known when the row was written
    stored["added_later"] = {"anything": 1}
    assert position_from_json(json.dumps(stored)) == samples.protected()


def test_a_row_that_does_not_fit_names_the_field() -> None:
    stored = json.loads(position_to_json(samples.position()))
    stored["phase"] = "asleep"
    with pytest.raises(ValueError, match="phase"):
        position_from_json(json.dumps(stored))


def test_a_record_comes_back_as_it_was() -> None:
    whole = samples.record(
        position=samples.protected(),
        orders=(samples.intent(),),
        trades=(samples.trade(),),
        events=(samples.event(),),
        signals=(samples.signal(),),
        outcomes=(SignalOutcome(signal_id="s-1", outcome="opened", at=samples.NOON, figures={"usd": "250"}),),
        alerts=(samples.alert(),),
        facts={"last": {"x": [1, None]}},
    )
    assert record_from_json(record_to_json(whole)) == whole


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.booleans(), max_size=4))
def test_any_event_data_has_a_form_that_the_server_takes(data: dict[str, object]) -> None:
    text = record_to_json(samples.record(events=(samples.event(data=data),)))
    assert isinstance(record_from_json(text), Record)
    assert "\\u0000" not in text.replace("\\\\", "")


def test_what_the_server_refuses_in_text_is_replaced() -> None:
    assert json.loads(to_json(["a\x00b", "\\u0000", "c\ud800d"])) == ["a\ufffdb", "\\u0000", "c?d"]


@pytest.mark.parametrize("bad", [Decimal("NaN"), Decimal("Infinity"), float("nan"), datetime(2026, 1, 1), object()])  # noqa: DTZ001
def test_what_has_no_exact_form_is_refused(bad: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        to_json({"value": bad})


def test_another_zone_means_the_same_instant() -> None:
    local = samples.NOON.astimezone(timezone(samples.NOON - samples.NOON))
    assert position_from_json(position_to_json(samples.position(opened_at=local))).opened_at == samples.NOON
