"""One price has one text, wherever it came from and wherever it is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from actors.recording import plain_event
from adapters.admin.protocol import notification_line, result_line
from adapters.web.plain import Loose, Money, encoded
from domain.catalogue import EventType
from domain.decimals import plain, plainly
from domain.position.turn import happening
from persistence.codec import to_json

PRICES = st.decimals(allow_nan=False, allow_infinity=False)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def by_event(price: Decimal) -> object:
    return happening(EventType.PRICE_RANGE, {"price": price}).data["price"]


def by_plain_event(price: Decimal) -> object:
    event = plain_event(EventType.DAILY_DIGEST, NOW, {"prices": [{"price": price}]})
    return json.loads(to_json(event.data))["prices"][0]["price"]


def by_result(price: Decimal) -> object:
    return json.loads(result_line(1, {"price": price}))["result"]["price"]


def by_notification(price: Decimal) -> object:
    return json.loads(notification_line("m", {"price": price}))["params"]["price"]


def by_page(price: Decimal) -> object:
    return json.loads(encoded({"price": price}))["price"]


def by_answer(price: Decimal) -> object:
    return TypeAdapter(Money).dump_python(price, mode="json")


def by_loose_answer(price: Decimal) -> object:
    return TypeAdapter(Loose).validate_python({"price": price})["price"]


@pytest.mark.parametrize(
    "shown", [plain, by_event, by_plain_event, by_result, by_notification, by_page, by_answer, by_loose_answer]
)
@pytest.mark.parametrize(
    ("digits", "text"),
    [
        ("63215.40", "63215.4"), ("63215.4", "63215.4"), ("0.10", "0.1"), ("1E+3", "1000"), ("1000", "1000"),
        ("100.00", "100"), ("0E-8", "0"), ("-0.00", "0"), ("-1.50", "-1.5"), ("1E-8", "0.00000001"),
        ("0.1234567890123456789012345678901230", "0.123456789012345678901234567890123"),
    ],
)  # fmt: skip
def test_a_price_has_one_text_whoever_shows_it(shown: Callable[[Decimal], object], digits: str, text: str) -> None:
    assert shown(Decimal(digits)) == text


@given(PRICES, st.integers(min_value=0, max_value=12))
def test_equal_prices_have_equal_texts_and_lose_no_digit(price: Decimal, zeros: int) -> None:
    text = plain(price)
    assert Decimal(text) == price
    assert plain(Decimal(format(price, "f") + ("" if "." in format(price, "f") else ".") + "0" * zeros)) == text


def test_what_is_no_decimal_stays_as_it_is() -> None:
    value = {"at": NOW, "counts": (1, True), "name": "1.50", "nothing": None}
    assert plainly(value) == {"at": NOW, "counts": [1, True], "name": "1.50", "nothing": None}
