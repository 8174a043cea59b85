"""Binance streams: subscriptions, cadence, the private messages and their order, the life of a listen key."""

import json
from typing import Any

import pytest

from adapters.paper_exchange.wire import Stream
from tests.unit.paper_exchange.venue import Venue


def subscribe(stream: Stream, *names: str, method: str = "SUBSCRIBE") -> None:
    stream.receive(json.dumps({"method": method, "params": list(names), "id": 1}))


def user_stream(venue: Venue) -> list[dict[str, Any]]:
    key = venue.ok("POST", "/fapi/v1/listenKey", signed=False)["listenKey"]
    _stream, frames = venue.stream("/private/ws", f"listenKey={key}")
    return frames


def test_subscribe_list_unsubscribe(venue: Venue) -> None:
    stream, frames = venue.stream("/market/ws/0")
    subscribe(stream, "btcusdt@markPrice@1s")
    subscribe(stream, method="LIST_SUBSCRIPTIONS")
    venue.dialect.second(venue.now)
    subscribe(stream, "btcusdt@markPrice@1s", method="UNSUBSCRIBE")
    venue.dialect.second(venue.now)
    assert [frame.get("result", frame.get("e")) for frame in frames] == [
        None,
        ["btcusdt@markPrice@1s"],
        "markPriceUpdate",
        None,
    ]
    assert (frames[2]["s"], frames[2]["p"]) == ("BTCUSDT", "64000.00")


@pytest.mark.parametrize("text", ["{", "[]", '{"method": "DANCE", "id": 1}', '{"method": "SUBSCRIBE", "params": 3}'])
def test_nonsense_is_answered_and_the_stream_lives_on(venue: Venue, text: str) -> None:
    stream, frames = venue.stream("/ws")
    stream.receive(text)
    assert "error" in frames[0]
    subscribe(stream, "btcusdt@bookTicker")
    venue.dialect.second(venue.now)
    assert frames[-1]["e"] == "bookTicker"


@pytest.mark.parametrize(
    "path", ["/ws/btcusdt@markPrice@1s", "/market/ws/btcusdt@markPrice@1s", "/ws/5/!markPrice@arr@1s"]
)
def test_streams_named_in_the_path(venue: Venue, path: str) -> None:
    _stream, frames = venue.stream(path)
    venue.dialect.second(venue.now)
    assert len(frames) == 1


def test_combined_streams_are_wrapped(venue: Venue) -> None:
    _stream, frames = venue.stream("/stream", "streams=btcusdt@miniTicker/ethusdt@kline_1m")
    venue.dialect.second(venue.now)
    assert {frame["stream"]: frame["data"]["e"] for frame in frames} == {
        "btcusdt@miniTicker": "24hrMiniTicker",
        "ethusdt@kline_1m": "kline",
    }


def test_trades_single_and_aggregate(venue: Venue) -> None:
    _stream, frames = venue.stream("/stream", "streams=btcusdt@trade/btcusdt@aggTrade")
    venue.dialect.second(venue.now)
    assert {frame["data"]["e"]: frame["data"]["p"] for frame in frames} == {
        "trade": venue.ok("GET", "/fapi/v1/trades", symbol="BTCUSDT", signed=False)[0]["price"],
        "aggTrade": venue.ok("GET", "/fapi/v1/aggTrades", symbol="BTCUSDT", signed=False)[0]["p"],
    }


def test_the_slow_mark_stream_comes_every_third_second(venue: Venue) -> None:
    _stream, frames = venue.stream("/ws/btcusdt@markPrice")
    for _ in range(9):
        venue.now += 1_000
        venue.dialect.second(venue.now)
    assert len(frames) == 3


def test_other_paths_are_refused(venue: Venue) -> None:
    assert venue.dialect.connect("/elsewhere", "", print) is None


def test_a_trade_as_the_private_stream_tells_it(venue: Venue) -> None:
    frames = user_stream(venue)
    venue.buy(newClientOrderId="e1")
    assert [(frame["e"], frame.get("o", {}).get("x")) for frame in frames] == [
        ("ORDER_TRADE_UPDATE", "NEW"),
        ("ACCOUNT_UPDATE", None),
        ("TRADE_LITE", None),
        ("ORDER_TRADE_UPDATE", "TRADE"),
    ]
    trade = frames[3]["o"]
    assert {name: trade[name] for name in ("c", "X", "l", "z", "L", "n", "N", "rp", "R")} == {
        "c": "e1", "X": "FILLED", "l": "0.010", "z": "0.010", "L": "64006.40", "n": "0.32003200", "N": "USDT",
        "rp": "0.00000000", "R": False,
    }  # fmt: skip
    assert trade["t"] > 0
    position = frames[1]["a"]["P"][0]
    assert (position["pa"], position["ep"], position["ps"]) == ("0.010", "64006.40000000", "BOTH")


def test_a_stop_from_acceptance_to_the_flat_row(venue: Venue) -> None:
    venue.buy()
    frames = user_stream(venue)
    stop = venue.stop(clientAlgoId="s1")
    venue.move("62900.0")
    told = [(frame["e"], frame.get("o", {}).get("X")) for frame in frames]
    assert told == [
        ("ALGO_UPDATE", "NEW"),
        ("ALGO_UPDATE", "TRIGGERING"),
        ("ORDER_TRADE_UPDATE", "NEW"),
        ("ALGO_UPDATE", "TRIGGERED"),
        ("ACCOUNT_UPDATE", None),
        ("TRADE_LITE", None),
        ("ORDER_TRADE_UPDATE", "FILLED"),
        ("ALGO_UPDATE", "FINISHED"),
    ]
    assert frames[4]["a"]["P"][0]["pa"] == "0"
    finished = frames[7]["o"]
    assert (finished["aid"], finished["caid"], finished["aq"]) == (stop["algoId"], "s1", "0.010")
    assert finished["ai"] == str(frames[6]["o"]["i"])


def test_a_reduce_only_reject_names_its_reason(venue: Venue) -> None:
    frames = user_stream(venue)
    venue.stop()
    venue.move("62900.0")
    assert (frames[-1]["o"]["X"], frames[-1]["o"]["rm"]) == ("EXPIRED", "Reduce Only reject")


def test_leverage_is_told(venue: Venue) -> None:
    frames = user_stream(venue)
    venue.ok("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=7)
    assert frames[0]["ac"] == {"s": "BTCUSDT", "l": 7}


def test_a_listen_key_lives_an_hour_from_its_last_renewal(venue: Venue) -> None:
    frames = user_stream(venue)
    venue.now += 50 * 60_000
    venue.ok("PUT", "/fapi/v1/listenKey", signed=False)
    venue.now += 50 * 60_000
    venue.buy()
    assert len(frames) == 4
    venue.now += 10 * 60_000
    venue.dialect.second(venue.now)
    assert frames[-1]["e"] == "listenKeyExpired"
    heard = len(frames)
    venue.buy()
    assert len(frames) == heard, "an expired key must be silent"
    assert venue.code("PUT", "/fapi/v1/listenKey", signed=False) == -1125


def test_the_same_key_while_it_lives_and_a_new_one_after_it_was_closed(venue: Venue) -> None:
    first = venue.ok("POST", "/fapi/v1/listenKey", signed=False)
    assert venue.ok("POST", "/fapi/v1/listenKey", signed=False) == first
    venue.ok("DELETE", "/fapi/v1/listenKey", signed=False)
    venue.now += 1
    assert venue.ok("POST", "/fapi/v1/listenKey", signed=False) != first


def test_an_unknown_key_is_taken_and_stays_silent(venue: Venue) -> None:
    _stream, frames = venue.stream("/private/ws", "listenKey=nonsense")
    venue.buy()
    assert frames == []
