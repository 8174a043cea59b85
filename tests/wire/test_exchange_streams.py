"""The streams against a venue that cuts, falls silent, expires keys, sends rubbish and sends in bursts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from aiohttp import web

from adapters.exchange.factory import open_account_stream, open_prices
from adapters.exchange.interface import AccountStream, Connected, Lost, MarkPrice, PriceStream
from domain.orders import Fill, OrderReport, OrderStatus, PositionReport
from tests.unit.exchange.listener import PATIENCE_S, Listener
from tests.unit.exchange.recording_venue import KEY, SECRET, RecordingVenue, Reply, cut_the_line, now, recording_venue

pytestmark = pytest.mark.wire


def mark(symbol: str = "BTCUSDT", price: str = "60010.10") -> dict[str, Any]:
    return {"e": "markPriceUpdate", "E": 1763458576201, "s": symbol, "p": price, "i": "60000", "r": "0.0001", "T": 1}


def executed(number: int) -> dict[str, Any]:
    row = {
        "s": "BTCUSDT", "c": "hf-e", "S": "BUY", "o": "MARKET", "f": "GTC", "q": "1000", "p": "0", "ap": "60010.10",
        "sp": "0", "x": "TRADE", "X": "PARTIALLY_FILLED", "i": 1, "l": "0.001", "z": str(Decimal(number + 1) / 1000),
        "L": "60010.1", "N": "USDT", "n": "0.024", "T": 1763458576201, "t": number, "R": False, "ps": "BOTH", "rp": "0",
    }  # fmt: skip
    return {"e": "ORDER_TRADE_UPDATE", "E": 1763458576204, "T": 1763458576201, "o": row}


def flat() -> dict[str, Any]:
    rows = [{"s": "BTCUSDT", "pa": "0", "ep": "0", "ps": "BOTH"}]
    return {"e": "ACCOUNT_UPDATE", "E": 1763458576204, "T": 1763458576201, "a": {"m": "ORDER", "B": [], "P": rows}}


def prices(
    play: Callable[[Listener, RecordingVenue], Awaitable[None]], symbols: tuple[str, ...] = ("BTCUSDT",), **access: Any
) -> None:
    async def run() -> None:
        async with recording_venue() as venue:
            stream: PriceStream = open_prices(venue.access(**access), now)
            listener = Listener(stream.watch(symbols))
            await play(listener, venue)
            await stream.close()
            await asyncio.wait_for(listener.task, PATIENCE_S)

    asyncio.run(run())


def account(
    play: Callable[[Listener, RecordingVenue], Awaitable[None]], answers: dict[str, Reply] | None = None, **access: Any
) -> None:
    async def run() -> None:
        async with recording_venue(**(answers or {})) as venue:
            stream: AccountStream = open_account_stream(venue.access(**access), now)
            listener = Listener(stream.watch())
            await play(listener, venue)
            await stream.close()
            await asyncio.wait_for(listener.task, PATIENCE_S)

    asyncio.run(run())


def test_prices_of_the_symbols_asked_for() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        assert isinstance(await listener.next(), Connected)
        await venue.hearing.wait()
        assert venue.dials == ["/market/ws/0"]
        assert venue.subscribed[0]["params"] == ["btcusdt@markPrice@1s", "ethusdt@markPrice@1s"]
        assert venue.seen == []  # no REST at all
        await venue.push(mark("XRPUSDT"))
        await venue.push(mark(price="60010.10"))
        await venue.push({"stream": "ethusdt@markPrice@1s", "data": mark("ETHUSDT", "3000.5")})
        first, second = await listener.next(), await listener.next()
        assert (first.symbol, first.price) == ("BTCUSDT", Decimal("60010.10"))
        assert (second.symbol, second.price) == ("ETHUSDT", Decimal("3000.5"))

    prices(play, ("BTCUSDT", "ETHUSDT"))


def test_no_symbols_means_all_of_them_in_one_channel() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await venue.hearing.wait()
        assert venue.subscribed[0]["params"] == ["!markPrice@arr@1s"]
        await venue.push([mark("BTCUSDT"), mark("ETHUSDT")])
        assert [(await listener.until(MarkPrice)).symbol for _ in range(2)] == ["BTCUSDT", "ETHUSDT"]

    prices(play, ())


def test_many_symbols_are_asked_for_in_several_frames() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        while len(venue.subscribed) < 3:
            venue.hearing.clear()
            await asyncio.wait_for(venue.hearing.wait(), PATIENCE_S)
        assert sorted(len(frame["params"]) for frame in venue.subscribed) == [50, 100, 100]
        assert len({channel for frame in venue.subscribed for channel in frame["params"]}) == 250

    prices(play, tuple(f"C{number}USDT" for number in range(250)))


def test_a_silent_price_stream_is_replaced() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        lost = await listener.until(Lost)
        assert lost.reason == "silent for 0.2 s"
        await listener.until(Connected)
        await venue.hearing.wait()
        assert len(venue.dials) >= 2
        await venue.push(mark())
        await listener.until(MarkPrice)

    prices(play, silence_s=0.2)


def test_a_cut_price_stream_comes_back() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        for _ in range(3):
            await listener.until(Connected)
            await asyncio.wait_for(venue.hearing.wait(), PATIENCE_S)
            await venue.push(mark())
            await listener.until(MarkPrice)
            venue.cut()
            await listener.until(Lost)

    prices(play)


def test_a_refused_subscription_is_a_loss_with_the_venues_words() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        await venue.connected.wait()
        await venue.push({"code": 2, "msg": "Invalid request: unknown stream"})
        assert "unknown stream" in (await listener.until(Lost)).reason

    prices(play)


@pytest.mark.parametrize("rubbish", ["hello", [1], {"e": "markPriceUpdate", "E": 1, "s": "BTCUSDT", "p": "-"}, []])
def test_rubbish_among_prices_is_a_gap_at_most_and_the_connection_goes_on(rubbish: Any) -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await venue.hearing.wait()
        await venue.push(rubbish)
        await venue.push(mark())
        await listener.until(MarkPrice)
        assert len(venue.dials) == 1

    prices(play)


def test_a_frame_that_is_no_json_leaves_ccxt_deaf_and_is_healed_by_the_silence() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await venue.hearing.wait()
        await venue.push('{"broken')
        await listener.until(Lost)
        await listener.until(Connected)

    prices(play, silence_s=0.3)


def test_a_thousand_executions_in_one_burst_are_a_thousand_fills_in_order() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        assert venue.dials == ["/private/ws?listenKey=the-listen-key"]
        for number in range(1000):
            await venue.push(executed(number))
        await venue.push(flat())
        heard = [await listener.next() for _ in range(2001)]
        fills = [item for item in heard if isinstance(item, Fill)]
        assert [fill.trade_id for fill in fills] == [str(number) for number in range(1000)]
        assert {fill.fee for fill in fills} == {Decimal("0.024")}
        reports = [item for item in heard if isinstance(item, OrderReport)]
        assert [report.filled for report in reports] == [Decimal(number + 1) / 1000 for number in range(1000)]
        assert isinstance(heard[-1], PositionReport)
        assert heard[-1].quantity == 0
        assert venue.paths() == ["POST /fapi/v1/listenKey"]

    account(play)


def test_a_conditional_order_is_reported_with_its_child() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        row = {
            "caid": "hf-s", "aid": 21, "s": "BTCUSDT", "S": "SELL", "ps": "BOTH", "q": "0.002", "X": "TRIGGERED",
            "ai": 77, "aq": "0.002", "tp": "55000.1", "wt": "MARK_PRICE", "cp": False, "R": True, "rm": "",
        }  # fmt: skip
        await venue.push({"e": "ALGO_UPDATE", "E": 1763458576204, "T": 1763458576201, "o": row})
        report = await listener.until(OrderReport)
        assert (report.status, report.filled, report.child_id) == (OrderStatus.TRIGGERED, Decimal(0), "77")

    account(play)


def test_a_cut_account_stream_comes_back_with_a_key_of_its_own() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        await venue.connected.wait()
        venue.cut()
        lost = await listener.until(Lost)
        assert "the-listen-key" not in lost.reason
        await listener.until(Connected)
        await venue.connected.wait()
        await venue.push(executed(1))
        await listener.until(Fill)
        assert venue.paths().count("POST /fapi/v1/listenKey") == len(venue.dials) == 2

    account(play)


def test_an_expired_key_is_replaced() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        await venue.connected.wait()
        await venue.push({"e": "listenKeyExpired", "E": 1763458576204, "listenKey": "the-listen-key"})
        assert "expired" in (await listener.until(Lost)).reason
        await listener.until(Connected)
        assert venue.paths().count("POST /fapi/v1/listenKey") == 2

    account(play)


def test_the_key_is_renewed_again_and_again() -> None:
    renewals = count(1)
    third = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        number = next(renewals)
        if number == 3:
            third.set()
        return web.json_response({}, status=500 if number == 2 else 200)  # one failure is no end

    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        await asyncio.wait_for(third.wait(), PATIENCE_S)  # T6: ccxt by itself renews once
        assert venue.dials == ["/private/ws?listenKey=the-listen-key"]

    account(play, {"PUT /fapi/v1/listenKey": answer}, listen_key_refresh_s=0.05)


def test_a_key_that_the_venue_forgot_is_replaced() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        assert "listen key is gone" in (await listener.until(Lost)).reason
        await listener.until(Connected)
        assert venue.paths().count("POST /fapi/v1/listenKey") >= 2

    gone = (400, {"code": -1125, "msg": "This listenKey does not exist."})
    account(play, {"PUT /fapi/v1/listenKey": gone}, listen_key_refresh_s=0.05)


def test_a_venue_that_refuses_the_key_is_asked_again_and_the_reason_tells_no_secret() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        for _ in range(3):
            lost = await listener.next()
            assert isinstance(lost, Lost)
            assert KEY not in lost.reason
            assert SECRET not in lost.reason
        venue.answers["POST /fapi/v1/listenKey"] = (200, {"listenKey": "another-key"})
        await listener.until(Connected)

    account(play, {"POST /fapi/v1/listenKey": (401, {"code": -2015, "msg": f"Invalid API-key {KEY}"})})


def test_a_lost_reply_to_the_key_request_is_a_loss_like_any_other() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        assert isinstance(await listener.next(), Lost)
        venue.answers["POST /fapi/v1/listenKey"] = (200, {"listenKey": "another-key"})
        await listener.until(Connected)

    account(play, {"POST /fapi/v1/listenKey": cut_the_line})


def test_an_unreadable_account_frame_is_a_gap_and_the_connection_goes_on() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        await venue.connected.wait()
        await venue.push({"e": "ORDER_TRADE_UPDATE", "E": 1, "T": 1, "o": {"s": "BTCUSDT"}})
        assert "unreadable frame" in (await listener.until(Lost)).reason
        await listener.until(Connected)
        await venue.push({"e": "MARGIN_CALL", "E": 1, "cw": "3.16", "p": []})
        await venue.push(executed(9))
        assert (await listener.until(Fill)).trade_id == "9"
        assert len(venue.dials) == 1

    account(play)


def test_a_peer_that_answers_no_ping_is_given_up() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        await venue.connected.wait()
        for transport in venue.transports:
            transport.pause_reading()  # half-open: our pings are never seen
        assert "ping" in (await listener.until(Lost)).reason
        await listener.until(Connected)

    account(play, keep_alive_s=0.1)


def test_closing_while_nothing_is_connected_ends_the_stream() -> None:
    async def run() -> None:
        async with recording_venue() as venue:
            access = venue.access()
        stream = open_prices(access, now)
        listener = Listener(stream.watch(("BTCUSDT",)))
        await listener.until(Lost)
        await stream.close()
        await asyncio.wait_for(listener.task, PATIENCE_S)

    asyncio.run(run())
