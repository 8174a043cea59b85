"""The classifier: every code of VENUES D, through ccxt's own exceptions, and what it says without a code."""

from __future__ import annotations

import json

import ccxt.async_support
import pytest

from adapters.exchange.error_codes import BINANCE, BYBIT, Codes, Effect
from adapters.exchange.outcomes import ClassifiedFailure, classify, redact
from adapters.exchange.transport import Receipt
from adapters.exchange.venue import BadReply, NoSuchOrder
from domain.orders import RejectReason as Why

REAL_URL = "https://fapi.binance.com/fapi/v1/order"
LOCAL_URL = "http://127.0.0.1:8080/fapi/v1/order"

NONE, UNKNOWN, EXISTS, ALREADY, GONE = Effect.NONE, Effect.UNKNOWN, Effect.EXISTS, Effect.ALREADY, Effect.GONE

# VENUES D.1, row by row.
BINANCE_CASES = [
    (-1000, Why.TRANSIENT, UNKNOWN),
    (-1001, Why.TRANSIENT, UNKNOWN),
    (-1002, Why.CREDENTIALS, NONE),
    (-1003, Why.RATE_LIMIT, NONE),
    (-1006, Why.TRANSIENT, UNKNOWN),
    (-1007, Why.TRANSIENT, UNKNOWN),
    (-1008, Why.TRANSIENT, NONE),
    (-1013, Why.PRECISION, NONE),
    (-1015, Why.RATE_LIMIT, NONE),
    (-1021, Why.CLOCK, NONE),
    (-1022, Why.CREDENTIALS, NONE),
    (-1102, Why.OTHER, NONE),
    (-1106, Why.OTHER, NONE),
    (-1111, Why.PRECISION, NONE),
    (-1116, Why.OTHER, NONE),
    (-1121, Why.SYMBOL, NONE),
    (-1125, Why.OTHER, NONE),
    (-1128, Why.OTHER, NONE),
    (-1130, Why.OTHER, NONE),
    (-2010, Why.OTHER, NONE),
    (-2011, Why.OTHER, GONE),
    (-2013, Why.OTHER, GONE),
    (-2014, Why.CREDENTIALS, NONE),
    (-2015, Why.CREDENTIALS, NONE),
    (-2017, Why.CREDENTIALS, NONE),
    (-2018, Why.NO_FUNDS, NONE),
    (-2019, Why.NO_FUNDS, NONE),
    (-2020, Why.TRANSIENT, NONE),
    (-2021, Why.WOULD_TRIGGER, NONE),
    (-2022, Why.REDUCE_ONLY, NONE),
    (-2023, Why.OTHER, NONE),
    (-2024, Why.REDUCE_ONLY, NONE),
    (-2025, Why.LIMIT, NONE),
    (-2027, Why.LIMIT, NONE),
    (-2028, Why.LIMIT, NONE),
    *[(code, Why.PRECISION, NONE) for code in (-4004, -4005, -4014, -4023)],
    (-4045, Why.LIMIT, NONE),
    (-4046, Why.OTHER, ALREADY),
    (-4047, Why.OTHER, NONE),
    (-4048, Why.OTHER, NONE),
    (-4059, Why.OTHER, ALREADY),
    (-4061, Why.OTHER, NONE),
    (-4062, Why.OTHER, NONE),
    (-4067, Why.OTHER, NONE),
    (-4068, Why.OTHER, NONE),
    (-4116, Why.DUPLICATE_ID, EXISTS),
    (-4117, Why.TRIGGERING, NONE),
    (-4118, Why.REDUCE_ONLY, NONE),
    (-4120, Why.OTHER, NONE),
    (-4130, Why.LIMIT, NONE),
    (-4131, Why.TRANSIENT, NONE),
    (-4137, Why.OTHER, NONE),
    (-4138, Why.OTHER, NONE),
    (-4140, Why.SYMBOL, NONE),
    (-4141, Why.SYMBOL, NONE),
    (-4142, Why.WOULD_TRIGGER, NONE),
    (-4164, Why.TOO_SMALL, NONE),
    (-4192, Why.LIMIT, NONE),
    (-4400, Why.LIMIT, NONE),
    (-5021, Why.OTHER, NONE),
    (-5022, Why.OTHER, NONE),
    (-5028, Why.CLOCK, NONE),
    (-20124, Why.OTHER, GONE),
    (-20132, Why.DUPLICATE_ID, EXISTS),
]

# VENUES D.2, row by row.
BYBIT_CASES = [
    *[(code, Why.TRANSIENT, UNKNOWN) for code in (10000, 5004, 10016, 170007)],
    *[(code, Why.RATE_LIMIT, NONE) for code in (10006, 10018, 10429, 429)],
    *[(code, Why.CREDENTIALS, NONE) for code in (10003, 10004, 10005, 10007, 10010, 10024, 10027, 10028, 10029, 33004)],
    *[(code, Why.NO_FUNDS, NONE) for code in (110004, 110006, 110007, 110012, 110014, 110044, 110045)],
    *[(code, Why.WOULD_TRIGGER, NONE) for code in (110092, 110093)],
    *[(code, Why.REDUCE_ONLY, NONE) for code in (110017, 110034)],
    *[(code, Why.LIMIT, NONE) for code in (110003, 110009, 110020, 110061)],
    *[(code, Why.DUPLICATE_ID, EXISTS) for code in (10014, 110030, 110072)],
    *[(code, Why.OTHER, ALREADY) for code in (110025, 110026, 110027, 110043, 34036, 34040, 30084)],
    *[(code, Why.OTHER, GONE) for code in (110001, 110008, 110010, 170213)],
    *[(code, Why.OTHER, NONE) for code in (10001, 110024, 110028, 110066, 30208, 110090, 110100, 110103)],
    (10002, Why.CLOCK, NONE),
    (110079, Why.TRANSIENT, NONE),
    (110094, Why.TOO_SMALL, NONE),
    (30228, Why.SYMBOL, NONE),
]


@pytest.fixture(scope="module")
def binance() -> object:
    return ccxt.async_support.binanceusdm()


def raised_by_ccxt(api: object, url: str, status: int, body: dict[str, object]) -> Exception:
    """The exception that ccxt really makes of a reply."""
    text = json.dumps(body, separators=(",", ":"))
    try:
        api.handle_errors(status, "Bad Request", url, "POST", {}, text, body, {}, None)  # type: ignore[attr-defined]
        api.handle_http_status_code(status, "Bad Request", url, "POST", text)  # type: ignore[attr-defined]
    except Exception as error:
        return error
    raise AssertionError(f"ccxt took {body} for success")


@pytest.mark.parametrize(("code", "reason", "effect"), BINANCE_CASES)
def test_binance_code(binance: object, code: int, reason: Why, effect: Effect) -> None:
    for url in (REAL_URL, LOCAL_URL):  # T7: ccxt's class depends on the address, our verdict does not
        error = raised_by_ccxt(binance, url, 400, {"code": code, "msg": "some words."})
        verdict = classify(error, BINANCE, Receipt(sent=True, status=400))
        assert (verdict.reason, verdict.effect, verdict.code) == (reason, effect, str(code))
        assert verdict.certain is (effect not in (UNKNOWN, EXISTS))


@pytest.mark.parametrize(("code", "reason", "effect"), BYBIT_CASES)
def test_bybit_code(code: int, reason: Why, effect: Effect) -> None:
    error = ccxt.ExchangeError(f'bybit {{"retCode":{code},"retMsg":"some words","result":{{}}}}')
    verdict = classify(error, BYBIT, Receipt(sent=True, status=200))
    assert (verdict.reason, verdict.effect, verdict.code) == (reason, effect, str(code))


def test_no_code_of_the_tables_is_left_untested() -> None:
    assert {str(code) for code, *_ in BINANCE_CASES} == set(BINANCE.meanings)
    assert {str(code) for code, *_ in BYBIT_CASES} == set(BYBIT.meanings)


BASE_PRICE = "StopLoss:300000000 set for Buy position should lower than base_price:268160000??MarkPrice"
UNCHANGED = "The order remains unchanged as the parameters entered match the existing ones."


@pytest.mark.parametrize(
    ("codes", "body", "reason", "effect"),
    [
        (BINANCE, '{"code":-2010,"msg":"Account has insufficient balance for the action."}', Why.NO_FUNDS, NONE),
        (BINANCE, '{"code":-1013,"msg":"Filter failure: MIN_NOTIONAL"}', Why.TOO_SMALL, NONE),
        (BYBIT, '{"retCode":10001,"retMsg":"The number of contracts is below the minimum"}', Why.TOO_SMALL, NONE),
        (BYBIT, '{"retCode":10001,"retMsg":"position idx not match position mode"}', Why.OTHER, NONE),
        (BYBIT, '{"retCode":10001,"retMsg":"can not set tp/sl/ts for zero position"}', Why.REDUCE_ONLY, GONE),
        (BYBIT, f'{{"retCode":10001,"retMsg":"{BASE_PRICE}"}}', Why.WOULD_TRIGGER, NONE),
        (BYBIT, '{"retCode":10001,"retMsg":"expect Rising, but trigger_price[1] <= current"}', Why.WOULD_TRIGGER, NONE),
        (BYBIT, '{"retCode":10001,"retMsg":"expect Falling, but trigger_price[2] >="}', Why.WOULD_TRIGGER, NONE),
        (BYBIT, f'{{"retCode":10001,"retMsg":"{UNCHANGED}"}}', Why.OTHER, ALREADY),
    ],
)  # fmt: skip
def test_where_a_code_means_several_things_the_text_decides(
    codes: Codes, body: str, reason: Why, effect: Effect
) -> None:
    verdict = classify(ccxt.ExchangeError(f"exchange {body}"), codes, Receipt(sent=True, status=200))
    assert (verdict.reason, verdict.effect) == (reason, effect)
    assert verdict.certain


def test_an_empty_list_where_an_order_was_asked_for_is_no_such_order() -> None:
    verdict = classify(NoSuchOrder("no order with this id"), BYBIT, Receipt(sent=True, status=200))
    assert verdict.effect is GONE


@pytest.mark.parametrize(
    "error",
    [
        ccxt.RequestTimeout("binanceusdm POST https://x"),
        ccxt.ExchangeNotAvailable("binanceusdm POST https://x"),
        ccxt.NetworkError("reset"),
        KeyError("orderId"),
        OSError("broken pipe"),
    ],
)
def test_after_the_first_byte_anything_may_have_happened_before_it_nothing(error: Exception) -> None:
    assert not classify(error, BINANCE, Receipt(sent=True)).certain
    assert classify(error, BINANCE, Receipt(sent=False)).certain


@pytest.mark.parametrize("codes", [BINANCE, BYBIT])
@pytest.mark.parametrize(
    "half",
    [
        '{"retCode":0,"retMsg":"OK","result":{"orderId":"0a1d0000-0000-4000-80',
        '{"retCode":1100',  # of 110072, which says that the order exists; or of 110007, which says that it does not
        '{"code":200,"msg":"The ope',
        '{"orderId":400000',
    ],
)
def test_half_of_a_reply_is_no_refusal(codes: Codes, half: str) -> None:
    """A code of success is none of a refusal, and the beginning of a code is none at all."""
    verdict = classify(BadReply(f"order_id: TypeError in {half}"), codes, Receipt(sent=True, status=200))
    assert (verdict.reason, verdict.effect, verdict.code) == (Why.TRANSIENT, UNKNOWN, "HTTP 200")


@pytest.mark.parametrize(
    ("status", "reason", "certain"),
    [
        (200, Why.TRANSIENT, False),  # a success that could not be read
        (400, Why.OTHER, True),
        (401, Why.CREDENTIALS, True),
        (403, Why.RATE_LIMIT, True),
        (404, Why.OTHER, True),
        (408, Why.TRANSIENT, False),
        (418, Why.RATE_LIMIT, True),
        (429, Why.RATE_LIMIT, True),
        (451, Why.CREDENTIALS, True),
        (500, Why.TRANSIENT, False),
        (502, Why.TRANSIENT, False),
        (503, Why.TRANSIENT, False),
        (504, Why.TRANSIENT, False),
    ],
)
def test_without_a_code_the_status_decides(status: int, reason: Why, certain: bool) -> None:
    verdict = classify(ccxt.ExchangeError("<html>"), BINANCE, Receipt(sent=True, status=status))
    assert (verdict.reason, verdict.certain, verdict.code) == (reason, certain, f"HTTP {status}")


def test_a_code_that_nobody_knows_is_a_refusal_unless_the_status_says_that_the_venue_failed() -> None:
    error = ccxt.ExchangeError('binanceusdm {"code":-9999,"msg":"new"}')
    assert classify(error, BINANCE, Receipt(sent=True, status=400)).certain
    assert not classify(error, BINANCE, Receipt(sent=True, status=503)).certain


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("System is under maintenance.", Why.MAINTENANCE),
        ("Order would trigger immediately.", Why.WOULD_TRIGGER),
        ("Account has insufficient balance for requested action.", Why.NO_FUNDS),
        ("You don't have permission.", Why.CREDENTIALS),
        ("Market is closed.", Why.SYMBOL),
    ],
)
def test_messages_whose_code_ccxt_drops_are_told_by_its_class(binance: object, message: str, reason: Why) -> None:
    error = raised_by_ccxt(binance, LOCAL_URL, 400, {"code": -9999, "msg": message})
    assert classify(error, BINANCE, Receipt(sent=True, status=400)).reason is reason


def test_the_venue_says_how_long_to_wait() -> None:
    verdict = classify(ccxt.DDoSProtection("418"), BINANCE, Receipt(sent=True, status=418, retry_after_s=120))
    assert verdict.retry_after_s == 120
    assert ClassifiedFailure(verdict).retry_after_s == 120


@pytest.mark.parametrize(
    "text",
    [
        "GET https://x/order?symbol=B&timestamp=1&signature=deadbeef00&recvWindow=2",
        "wss://x/private/ws?listenKey=deadbeef00",
        '{"listenKey": "deadbeef00"}',
        "{'X-MBX-APIKEY': 'deadbeef00', 'a': 1}",
        "apiKey=deadbeef00",
        "secret: deadbeef00",
        "header deadbeef00 in the middle",
    ],
)
def test_no_secret_leaves_in_a_text(text: str) -> None:
    assert "deadbeef00" not in redact(text, ["deadbeef00"] if "header" in text else [])
    error = ccxt.NetworkError(text)
    verdict = classify(error, BINANCE, Receipt(sent=True), ["deadbeef00"])
    assert "deadbeef00" not in str(ClassifiedFailure(verdict))


def test_a_long_text_is_cut() -> None:
    assert len(redact("x" * 10_000)) == 300
