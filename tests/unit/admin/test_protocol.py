"""Lines of the control socket: what is read, what is written, what is refused."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.admin.parameters import Parameters, required
from adapters.admin.protocol import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    AdminError,
    BadRequest,
    error_line,
    notification_line,
    parse_request,
    printable,
    request_line,
    result_line,
)


def test_a_request_is_read() -> None:
    request = parse_request(b'{"jsonrpc": "2.0", "id": 7, "method": "position.close", "params": {"fraction": 0.10}}')
    assert (request.id, request.method, request.notification) == (7, "position.close", False)
    assert request.params == {"fraction": Decimal("0.10")}
    assert parse_request(b'{"jsonrpc": "2.0", "method": "x"}').notification


@pytest.mark.parametrize(
    ("line", "code", "request_id"),
    [
        (b"", PARSE_ERROR, None),
        (b"{", PARSE_ERROR, None),
        (b"\xff\xfe", PARSE_ERROR, None),
        (b"[" * 100_000, PARSE_ERROR, None),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "m", "params": {"x": NaN}}', PARSE_ERROR, None),
        (b'{"jsonrpc": "2.0", "id": 1' + b"0" * 5000 + b', "method": "m"}', PARSE_ERROR, None),
        (b"[]", INVALID_REQUEST, None),
        (b"3", INVALID_REQUEST, None),
        (b'{"id": 4, "method": "m"}', INVALID_REQUEST, 4),
        (b'{"jsonrpc": "1.0", "id": "a", "method": "m"}', INVALID_REQUEST, "a"),
        (b'{"jsonrpc": "2.0", "id": 4}', INVALID_REQUEST, 4),
        (b'{"jsonrpc": "2.0", "id": 4, "method": ""}', INVALID_REQUEST, 4),
        (b'{"jsonrpc": "2.0", "id": true, "method": "m"}', INVALID_REQUEST, None),
        (b'{"jsonrpc": "2.0", "id": [1], "method": "m"}', INVALID_REQUEST, None),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "m", "params": [1]}', INVALID_PARAMS, 5),
    ],
)
def test_what_is_no_request_is_refused_with_its_code_and_id(line: bytes, code: int, request_id: object) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_request(line)
    assert (caught.value.code, caught.value.request_id) == (code, request_id)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(line: bytes) -> None:
    try:
        parse_request(line)
    except BadRequest as refused:
        assert json.loads(error_line(refused.request_id, refused))["error"]["code"] in (-32700, -32600, -32602)  # noqa: PT017


@given(st.text(max_size=20), st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=4), st.integers())
def test_what_the_client_writes_the_server_reads(method: str, params: dict[str, str], number: int) -> None:
    line = request_line("m" + method, params, number % 2**53)
    assert line.count(b"\n") == 1
    assert parse_request(line).params == params
    assert parse_request(line).method == "m" + method


class State(Enum):
    ACTIVE = "ACTIVE"


def test_results_go_out_in_the_forms_of_the_interface() -> None:
    local = datetime(2026, 1, 2, 5, 4, 5, 678900, tzinfo=timezone(timedelta(hours=2)))
    result = {
        "price": Decimal("1E+3"),
        "zero": Decimal("0E-8"),
        "at": local,
        "state": State.ACTIVE,
        "where": Path("/a"),
        "set": {"b", "a"},
        "none": None,
        "pair": (1, 2),
    }
    assert json.loads(result_line(1, result))["result"] == {
        "price": "1000",
        "zero": "0",
        "at": "2026-01-02T03:04:05.678Z",
        "state": "ACTIVE",
        "where": "/a",
        "set": ["a", "b"],
        "none": None,
        "pair": [1, 2],
    }
    with pytest.raises(ValueError, match="without zone"):
        result_line(1, datetime(2026, 1, 2))  # noqa: DTZ001 - the point of it
    with pytest.raises(TypeError, match="object has no JSON form"):
        notification_line("m", object())
    assert json.loads(notification_line("m", {"p": Decimal("0.10")})) == {
        "jsonrpc": "2.0",
        "method": "m",
        "params": {"p": "0.1"},
    }


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12))
def test_money_keeps_every_digit(amount: Decimal) -> None:
    text = json.loads(result_line(None, amount))["result"]
    assert Decimal(text) == amount


def test_parameters_are_taken_by_type() -> None:
    read = Parameters(
        {
            "id": "17",
            "usd": "100.10",
            "all": "true",
            "side": "LONG",
            "at": "2026-01-31T12:00:00+01:00",
            "why": "lunch",
            "limit": Decimal("5.0"),
            "off": False,
        }
    )
    assert read.whole("id") == 17
    assert read.positive("usd") == Decimal("100.10")
    assert read.flag("all") is True
    assert read.flag("off") is False
    assert read.choice("side", "long", "short") == "long"
    assert read.moment("at") == datetime(2026, 1, 31, 11, tzinfo=UTC)
    assert read.text("why") == "lunch"
    assert read.whole("limit") == 5
    assert read.text("absent") is None
    assert read.whole("absent") is None
    assert read.flag("absent") is None
    assert read.moment("absent") is None
    assert read.choice("absent", "a") is None
    read.done()


def test_rows_are_read_by_column() -> None:
    read = Parameters({"goals": [{"pct": "1.5", "fraction": 1}, {"pct": Decimal(2)}], "none": []})
    assert read.rows("goals", "pct", "fraction") == [{"pct": Decimal("1.5"), "fraction": 1}, {"pct": 2}]
    assert read.rows("none", "pct") == []
    assert read.rows("absent", "pct") is None
    read.done()


@pytest.mark.parametrize(
    ("take", "value", "said"),
    [
        (lambda read: read.whole("x"), "1.5", "x = 1.5: must be a whole number from 0 to"),
        (lambda read: read.whole("x", most=10), 11, "x = 11: must be a whole number from 0 to 10"),
        (lambda read: read.whole("x"), -1, "x = -1: must be a whole number"),
        (lambda read: read.whole("x"), True, "x = True: must be a number"),
        (lambda read: read.whole("x"), "1e999999999", "x = 1e999999999: must have at most 40 digits"),
        (lambda read: read.positive("x"), "0", "x = 0: must be greater than 0"),
        (lambda read: read.number("x"), "nan", "x = nan: must be a finite number"),
        (lambda read: read.number("x"), "inf", "x = inf: must be a finite number"),
        (lambda read: read.number("x"), [1], r"x = \[1\]: must be a number"),
        (lambda read: read.number("x"), "lots" * 100, r"\.\.\.: must be a number"),
        (lambda read: read.flag("x"), "maybe", "x = maybe: must be true or false"),
        (lambda read: read.choice("x", "long", "short"), "up", "x = up: must be one of long, short"),
        (lambda read: read.moment("x"), "2026-01-31T12:00:00", "x = 2026-01-31T12:00:00: must be a time such as"),
        (lambda read: read.moment("x"), "noon", "x = noon: must be a time"),
        (lambda read: read.moment("x"), 5, "x = 5: must be a time"),
        (lambda read: read.text("x"), "", "x = : must be text"),
        (lambda read: read.text("x"), {}, "x = {}: must be text"),
        (lambda read: (read.text("y"), read.done()), "1", "x = 1: is not a parameter of this method; known here: y"),
        (lambda read: read.rows("x", "pct"), "1", "x = 1: must be a list of objects with pct"),
        (lambda read: read.rows("x", "pct"), [1], r"x = \[1\]: must be a list of objects with pct"),
        (lambda read: read.rows("x", "pct"), [{}, {"pct": "0"}], r"x\[1\].pct = 0: must be greater than 0"),
        (lambda read: read.rows("x", "pct"), [{"at": 1}], r"x\[0\].at = 1: is not a parameter of this method"),
        (lambda read: read.done(), "1", "x = 1: is not a parameter of this method; this method takes none"),
        (lambda read: required("y", read.text("y")), "1", "y is required"),
    ],
)
def test_a_bad_parameter_is_refused_by_name_value_and_rule(take: object, value: object, said: str) -> None:
    assert callable(take)
    with pytest.raises(AdminError, match=said) as caught:
        take(Parameters({"x": value}))
    assert caught.value.code == INVALID_PARAMS
    assert caught.value.data is not None
    assert "rule" in caught.value.data


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.decimals(), st.lists(st.integers())))
def test_any_value_of_a_parameter_is_taken_or_refused(value: object) -> None:
    for name in ("text", "number", "positive", "whole", "flag", "moment"):
        try:
            getattr(Parameters({"x": value}), name)("x")
        except AdminError as refused:
            assert refused.code == INVALID_PARAMS  # noqa: PT017


def test_text_of_others_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[31mb\nc") == "a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}c"
