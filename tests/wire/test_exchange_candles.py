"""Closed candles of the traded price: the one request of each venue, and that none is taken before its time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from adapters.exchange.ccxt_client import CcxtTradingClient
from adapters.exchange.factory import open_trading
from adapters.exchange.interface import VenueFailure
from domain.orders import RejectReason
from tests.candles import EPOCH, FIVE
from tests.unit.exchange.bybit_samples import envelope, recording_bybit
from tests.unit.exchange.bybit_samples import refusal as bybit_refusal
from tests.unit.exchange.recording_venue import RecordingVenue, Reply, now, recording_venue

pytestmark = pytest.mark.wire

COUNT = 20
PRICES = ("1.5", "2", "1", "1.7")
Opener = Callable[..., AbstractAsyncContextManager[RecordingVenue]]


def boundary() -> datetime:
    """When the last candle closed, by our clock."""
    moment = now()
    return moment - (moment - EPOCH) % FIVE


def stamp(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


async def binance_rows(request: web.Request) -> web.StreamResponse:
    """Counted from the start, and one more than asked: a venue may list what is under way."""
    start, count = int(request.query["startTime"]), int(request.query["limit"]) + 1
    rest = ("8", 0, "9", 4, "0", "0", "0")
    return web.json_response([[start + 300_000 * n, *PRICES, *rest] for n in range(count)])


async def bybit_rows(request: web.Request) -> web.StreamResponse:
    """Newest first, with the one under way."""
    start, end = int(request.query["start"]), int(request.query["end"]) + 300_000
    rows = [[str(at), *PRICES, "8", "9"] for at in range(end, start - 1, -300_000)]
    return web.json_response(envelope({"list": rows}))


def binance_time(at: datetime) -> Reply:
    return 200, {"serverTime": stamp(at)}


def bybit_time(at: datetime) -> Reply:
    return 200, {**envelope({}), "time": stamp(at)}


VENUES = {
    "binanceusdm": (recording_venue, "GET /fapi/v1/klines", binance_rows, "GET /fapi/v1/time", binance_time),
    "bybit": (recording_bybit, "GET /v5/market/kline", bybit_rows, "GET /v5/market/time", bybit_time),
}
REFUSED: dict[str, tuple[Reply, RejectReason]] = {
    "binanceusdm": ((429, {"code": -1003, "msg": "too many"}), RejectReason.RATE_LIMIT),
    "bybit": (bybit_refusal(10006), RejectReason.RATE_LIMIT),
}


def scenario(
    venue: str, play: Callable[[CcxtTradingClient, RecordingVenue], Awaitable[None]], *, clock: datetime, **answers: Any
) -> None:
    """Connect to a venue whose clock shows `clock`, play, close."""
    opened, path, rows, time_path, time_reply = VENUES[venue]
    opener: Any = opened

    async def run() -> None:
        async with opener(**{path: answers.get("rows", rows), time_path: time_reply(clock)}) as recording:
            client = open_trading(recording.access(), now)
            try:
                await client.connect()
                recording.seen.clear()
                await play(client, recording)
            finally:
                await client.close()

    asyncio.run(run())


@pytest.mark.parametrize("venue", VENUES)
def test_one_request_brings_the_closed_candles_in_order(venue: str) -> None:
    closed_at = boundary()

    async def play(client: CcxtTradingClient, recording: RecordingVenue) -> None:
        candles = await client.closed_candles("BTCUSDT", FIVE, COUNT, closed_at)
        assert [candle.opened_at for candle in candles] == [closed_at - n * FIVE for n in range(COUNT, 0, -1)]
        first = candles[0]
        assert (first.open, first.high, first.low, first.close) == tuple(map(Decimal, PRICES))
        (asked,) = recording.seen
        assert asked.params["interval"] == {"binanceusdm": "5m", "bybit": "5"}[venue]
        assert asked.params["limit"] == str(COUNT)

    scenario(venue, play, clock=closed_at + timedelta(seconds=10))


@pytest.mark.parametrize("venue", VENUES)
def test_a_candle_that_the_venue_has_not_closed_is_not_taken(venue: str) -> None:
    """Our clock runs a minute ahead: by the venue's own, the newest candle still has that minute to go."""
    closed_at = boundary()

    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        candles = await client.closed_candles("BTCUSDT", FIVE, COUNT, closed_at)
        assert candles[-1].opened_at == closed_at - 2 * FIVE

    scenario(venue, play, clock=closed_at - timedelta(seconds=60))


@pytest.mark.parametrize("venue", VENUES)
def test_nothing_later_than_what_was_asked_for_is_taken(venue: str) -> None:
    closed_at = boundary() - 3 * FIVE

    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        candles = await client.closed_candles("BTCUSDT", FIVE, COUNT, closed_at)
        assert candles[-1].opened_at == closed_at - FIVE

    scenario(venue, play, clock=now())


def test_a_page_of_mark_candles_is_no_longer_than_it_has_to_be() -> None:
    """Binance is paid by the length that was asked for: half an hour costs 1 instead of 10."""

    async def play(client: CcxtTradingClient, recording: RecordingVenue) -> None:
        recording.answers["GET /fapi/v1/markPriceKlines"] = (200, [])
        await client.mark_candles("BTCUSDT", now() - timedelta(minutes=30))
        assert recording.last().params["limit"] in ("32", "33")

    scenario("binanceusdm", play, clock=now())


@pytest.mark.parametrize("venue", VENUES)
def test_every_span_has_its_name(venue: str) -> None:
    names: list[str] = []

    async def rows(request: web.Request) -> web.StreamResponse:
        names.append(request.query["interval"])
        return web.json_response([] if venue == "binanceusdm" else envelope({"list": []}))

    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        for minutes in (1, 3, 5, 15, 30, 60, 120, 240):
            assert await client.closed_candles("BTCUSDT", timedelta(minutes=minutes), 5, boundary()) == ()
        for span, count in ((timedelta(minutes=7), 5), (FIVE, 0), (FIVE, 1001)):
            with pytest.raises(ValueError, match="candles of a span that venues have"):
                await client.closed_candles("BTCUSDT", span, count, boundary())

    scenario(venue, play, clock=now(), rows=rows)
    wanted = {
        "binanceusdm": ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h"],
        "bybit": ["1", "3", "5", "15", "30", "60", "120", "240"],
    }
    assert names == wanted[venue]


@pytest.mark.parametrize("venue", VENUES)
def test_a_refusal_and_rubbish_are_failures_that_say_what_they_are(venue: str) -> None:
    replies: list[Reply] = []

    async def play(client: CcxtTradingClient, recording: RecordingVenue) -> None:
        path = VENUES[venue][1]
        for reply, reason in ((REFUSED[venue]), ((200, {"odd": 1}), None), ((200, [["x"]]), None)):
            replies.append(reply)
            recording.answers[path] = reply
            with pytest.raises(VenueFailure) as failed:
                await client.closed_candles("BTCUSDT", FIVE, COUNT, boundary())
            assert reason in (None, failed.value.reason)

    scenario(venue, play, clock=now())
    assert len(replies) == 3
