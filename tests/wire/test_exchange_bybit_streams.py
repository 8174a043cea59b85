"""Bybit's streams against a venue that refuses logins, falls silent, cuts, sends changes only and sends rubbish."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from adapters.exchange.bybit_streams import MarkPriceDialect
from adapters.exchange.ccxt_streams import CcxtPriceStream
from adapters.exchange.factory import open_account_stream, open_prices
from adapters.exchange.interface import AccountStream, Connected, Lost, MarkPrice, PriceStream
from domain.instrument import PositionSide
from domain.orders import Fill, OrderReport, OrderStatus, PositionReport
from tests.unit.exchange.bybit_samples import (
    ORDER_ID,
    STAMP,
    answer_frame,
    attached_row,
    envelope,
    execution_row,
    flat_row,
    order_row,
    page,
    position_row,
    recording_bybit,
    stop_row,
    ticker_row,
)
from tests.unit.exchange.listener import PATIENCE_S, Listener
from tests.unit.exchange.recording_venue import KEY, SECRET, RecordingVenue, Reply, now

pytestmark = pytest.mark.wire

Play = Callable[[Listener, RecordingVenue], Awaitable[None]]


def ticker(symbol: str = "BTCUSDT", at: int = STAMP, **data: str) -> dict[str, Any]:
    """A frame of changes; of a snapshot if it names everything."""
    return {"topic": f"tickers.{symbol}", "type": "delta", "ts": at, "cs": 1, "data": {"symbol": symbol} | data}


def private(topic: str, *rows: dict[str, Any]) -> dict[str, Any]:
    return {"id": "1", "topic": topic, "creationTime": STAMP, "data": list(rows)}


def prices(
    play: Play,
    symbols: tuple[str, ...] = ("BTCUSDT",),
    answers: dict[str, Reply] | None = None,
    quiet_s: float | None = None,
    **access: Any,
) -> None:
    async def run() -> None:
        async with recording_bybit(**(answers or {})) as venue:
            reach = venue.access(**access)
            stream: PriceStream = open_prices(reach, now)
            if quiet_s is not None:
                stream = CcxtPriceStream(reach, lambda a, s: MarkPriceDialect(a, s, quiet_s), now)
            listener = Listener(stream.watch(symbols))
            await play(listener, venue)
            await stream.close()
            await asyncio.wait_for(listener.task, PATIENCE_S)

    asyncio.run(run())


def account(
    play: Play,
    frames: Callable[[dict[str, Any]], list[dict[str, Any]]] = answer_frame,
    answers: dict[str, Reply] | None = None,
    **access: Any,
) -> None:
    async def run() -> None:
        async with recording_bybit(**(answers or {})) as venue:
            venue.answer_frame = frames
            stream: AccountStream = open_account_stream(venue.access(**access), now)
            listener = Listener(stream.watch())
            await play(listener, venue)
            await stream.close()
            await asyncio.wait_for(listener.task, PATIENCE_S)

    asyncio.run(run())


def test_mark_prices_out_of_a_snapshot_and_its_changes() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        assert isinstance(await listener.next(), Connected)
        await venue.hearing.wait()
        assert venue.dials == ["/v5/public/linear"]
        assert (venue.subscribed[0]["op"], venue.subscribed[0]["args"]) == (
            "subscribe",
            ["tickers.BTCUSDT", "tickers.ETHUSDT"],
        )
        assert venue.seen == []  # no REST at all
        await venue.push(ticker(lastPrice="60005.0", markPrice="60010.10"))
        await venue.push(ticker(at=STAMP + 100, lastPrice="60006.0"))  # says nothing new of the mark
        await venue.push(ticker("ETHUSDT", markPrice="3000.5"))
        await venue.push(ticker(at=STAMP + 1000, lastPrice="60007.0"))  # a second later: it is still what it was
        heard = [await listener.next() for _ in range(3)]
        assert [(price.symbol, price.price) for price in heard] == [
            ("BTCUSDT", Decimal("60010.10")),
            ("ETHUSDT", Decimal("3000.5")),
            ("BTCUSDT", Decimal("60010.10")),
        ]
        assert (heard[2].at - heard[0].at).total_seconds() == 1
        assert listener.waiting() == 0

    prices(play, ("BTCUSDT", "ETHUSDT"))


def test_a_price_of_zero_is_passed_on_and_a_missing_one_is_nothing() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        await venue.hearing.wait()
        await venue.push(ticker(lastPrice="1"))
        await venue.push(ticker(markPrice="0"))
        assert (await listener.next()).price == 0

    prices(play)


def test_no_symbols_means_every_perpetual_that_has_a_ticker() -> None:
    names = ("BTCUSDT", "ETHUSDT", "BTCPERP", "BTCUSDT-26DEC26")
    rows = [ticker_row(symbol=name) for name in names]

    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        await venue.hearing.wait()
        assert venue.paths() == ["GET /v5/market/tickers"]
        assert venue.subscribed[0]["args"] == ["tickers.BTCUSDT", "tickers.ETHUSDT"]

    prices(play, (), {"GET /v5/market/tickers": page(*rows)})


def test_many_symbols_are_asked_for_in_several_frames() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        while len(venue.subscribed) < 3:
            venue.hearing.clear()
            await asyncio.wait_for(venue.hearing.wait(), PATIENCE_S)
        assert sorted(len(frame["args"]) for frame in venue.subscribed) == [50, 100, 100]

    prices(play, tuple(f"C{number}USDT" for number in range(250)))


def test_a_quiet_symbol_is_asked_about_and_the_others_are_not() -> None:
    rows = [ticker_row(symbol="BTCUSDT", markPrice="60001"), ticker_row(symbol="ETHUSDT", markPrice="3001")]
    answers: dict[str, Reply] = {"GET /v5/market/tickers": page(*rows)}

    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        heard = {(await listener.until(MarkPrice)).symbol for _ in range(2)}
        assert heard == {"BTCUSDT", "ETHUSDT"}
        assert venue.seen[0].params == {"category": "linear"}

        async def chatter() -> None:
            while True:
                await venue.push(ticker("ETHUSDT", lastPrice="3002"))
                await asyncio.sleep(0.02)

        talking = asyncio.create_task(chatter())
        asked = len(venue.seen)
        while len(venue.seen) < asked + 2:
            assert (await listener.until(MarkPrice)).symbol == "BTCUSDT"
        talking.cancel()
        assert venue.last().params == {"category": "linear", "symbol": "BTCUSDT"}

    prices(play, ("BTCUSDT", "ETHUSDT"), answers, quiet_s=0.2)


def test_a_quiet_symbol_that_cannot_be_asked_about_ends_nothing() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        while len(venue.seen) < 2:
            await venue.next_request()
        await venue.push(ticker(markPrice="60010.10"))
        assert (await listener.next()).price == Decimal("60010.10")

    prices(play, answers={"GET /v5/market/tickers": (503, {})}, quiet_s=0.1)


def test_pongs_keep_a_quiet_price_stream_alive() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        pings = 0
        while pings < 6:
            venue.hearing.clear()
            await asyncio.wait_for(venue.hearing.wait(), PATIENCE_S)
            pings = sum(frame["op"] == "ping" for frame in venue.subscribed)
        assert len(venue.dials) == 1
        assert listener.waiting() == 0

    prices(play, silence_s=0.5)


def deaf(frame: dict[str, Any]) -> list[dict[str, Any]]:
    """Answers no ping."""
    return [] if frame["op"] == "ping" else answer_frame(frame)


def test_a_price_stream_without_frames_or_pongs_is_replaced() -> None:
    async def run() -> None:
        async with recording_bybit() as venue:
            venue.answer_frame = deaf
            stream = open_prices(venue.access(silence_s=0.5), now)
            listener = Listener(stream.watch(("BTCUSDT",)))
            await listener.until(Connected)
            lost = await listener.until(Lost)
            assert "silent for 0.5 s" in lost.reason or "timed out" in lost.reason
            await listener.until(Connected)
            assert len(venue.dials) == 2
            await stream.close()
            await asyncio.wait_for(listener.task, PATIENCE_S)

    asyncio.run(run())


def test_a_refused_subscription_is_a_loss_with_the_venues_words() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        await venue.hearing.wait()
        words = "Invalid symbol :[tickers.XUSDT]"
        await venue.push({"success": False, "ret_msg": words, "conn_id": "c", "op": "subscribe"})
        assert words in (await listener.until(Lost)).reason

    prices(play)


@pytest.mark.parametrize(
    "rubbish", [{"topic": "tickers.BTCUSDT"}, ["x"], {"topic": "tickers.B", "ts": "x", "data": {}}]
)
def test_rubbish_among_prices_is_a_gap_and_the_connection_goes_on(rubbish: Any) -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        await venue.hearing.wait()
        await venue.push(rubbish)
        assert "unreadable" in (await listener.next()).reason
        assert isinstance(await listener.next(), Connected)
        await venue.push(ticker(markPrice="1"))
        assert (await listener.next()).price == 1
        assert len(venue.dials) == 1

    prices(play)


def test_the_login_is_signed_with_the_venues_time_and_comes_before_the_topics() -> None:
    venue_ms = STAMP  # our own clock is years ahead

    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        assert venue.dials == ["/v5/private"]
        login, topics = venue.subscribed
        key, expires, signature = login["args"]
        assert (login["op"], key, expires) == ("auth", KEY, venue_ms + 10_000)
        wanted = hmac.new(SECRET.encode(), f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
        assert signature == wanted
        assert topics == {"op": "subscribe", "args": ["order", "execution", "position", "wallet"]}

    account(play, answers={"GET /v5/market/time": (200, envelope({}))})


def test_the_stream_counts_as_connected_only_when_its_topics_are_acknowledged() -> None:
    held: list[dict[str, Any]] = []

    def slowly(frame: dict[str, Any]) -> list[dict[str, Any]]:
        if frame["op"] == "subscribe":
            held.append(frame)
            return [{"success": True, "ret_msg": "pong", "op": "ping"}]
        return answer_frame(frame)

    async def play(listener: Listener, venue: RecordingVenue) -> None:
        while not held:
            venue.hearing.clear()
            await venue.hearing.wait()
        await venue.push(private("position", position_row()))  # before the acknowledgement: kept, not lost
        pings = 0
        while pings < 2:  # what was pushed and the pong before it have been heard by now
            venue.hearing.clear()
            await venue.hearing.wait()
            pings = sum(frame["op"] == "ping" for frame in venue.subscribed)
        assert listener.waiting() == 0
        await venue.push(answer_frame(held[0])[0])
        assert isinstance(await listener.next(), Connected)
        assert isinstance(await listener.next(), PositionReport)

    account(play, slowly, keep_alive_s=0.1)


@pytest.mark.parametrize("answered", ["auth", "subscribe"])
def test_a_login_or_a_topic_without_an_answer_is_a_loss(answered: str) -> None:
    def mute(frame: dict[str, Any]) -> list[dict[str, Any]]:
        return [] if frame["op"] == answered else answer_frame(frame)

    async def play(listener: Listener, _: RecordingVenue) -> None:
        lost = await listener.next()
        assert isinstance(lost, Lost)
        assert lost.reason == f"no answer to '{answered}' within 0.3 s"

    account(play, mute, timeout_s=0.3)


def test_a_refused_login_throws_the_instance_away_and_tells_no_secret() -> None:
    refusing = [True]

    def door(frame: dict[str, Any]) -> list[dict[str, Any]]:
        if frame["op"] == "auth" and refusing[0]:
            return [{"success": False, "ret_msg": "Params Error", "op": "auth", "request": {"args": frame["args"]}}]
        return answer_frame(frame)

    async def play(listener: Listener, venue: RecordingVenue) -> None:
        lost = await listener.next()
        assert isinstance(lost, Lost)
        assert "Params Error" in lost.reason
        assert KEY not in lost.reason
        assert SECRET not in lost.reason
        refusing[0] = False
        assert isinstance(await listener.until(Connected), Connected)
        assert len(venue.dials) == 2
        await venue.push(private("position", position_row()))
        assert isinstance(await listener.next(), PositionReport)

    account(play, door)


def test_a_cut_account_stream_logs_in_anew() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        venue.cut()
        await listener.until(Lost)
        await listener.until(Connected)
        assert [frame["op"] for frame in venue.subscribed] == ["auth", "subscribe"] * 2

    account(play)


def test_an_account_stream_whose_pings_are_not_answered_is_replaced() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        await listener.until(Lost)
        await listener.until(Connected)

    account(play, deaf, keep_alive_s=0.2)


def test_the_life_of_a_position_as_the_stream_tells_it() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        await venue.push(private("order", order_row(), attached_row(orderId="sl", cumExecQty="0")))
        await venue.push(private("execution", execution_row(), execution_row(execType="Funding")))
        await venue.push(private("position", position_row(), position_row(category="inverse", symbol="BTCUSD")))
        entry, stop = await listener.next(), await listener.next()
        fill, position = await listener.next(), await listener.next()
        assert (entry.status, entry.filled) == (OrderStatus.FILLED, Decimal("0.002"))
        assert entry.client_id == "hfabcd-1-1_1-1e"
        assert (stop.attached, stop.status, stop.client_id) == (True, OrderStatus.ACK, None)
        assert isinstance(fill, Fill)
        assert (position.quantity, position.attached_stop) == (Decimal("0.002"), Decimal("55000.1"))
        row = attached_row(orderId="sl", orderStatus="Filled", cumExecQty="0.002", avgPrice="54990")
        await venue.push(private("order", attached_row(orderId="sl", orderStatus="Triggered"), row))
        await venue.push(private("position", flat_row()))
        triggered, again, child, flat = [await listener.next() for _ in range(4)]
        assert (triggered.status, triggered.child_id, triggered.filled) == (OrderStatus.TRIGGERED, "sl", 0)
        assert (again.status, again.child_id, again.filled) == (OrderStatus.TRIGGERED, "sl", 0)
        assert (child.conditional, child.exchange_id, child.filled) == (False, "sl", Decimal("0.002"))
        assert (flat.quantity, flat.attached_stop) == (0, 0)
        assert listener.waiting() == 0

    account(play)


def test_a_stop_of_ours_is_two_orders_once_it_executes() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        row = stop_row(orderStatus="PartiallyFilled", cumExecQty="0.001", avgPrice="54990")
        await venue.push(private("order", row))
        conditional, ordinary = await listener.next(), await listener.next()
        assert isinstance(conditional, OrderReport)
        assert (conditional.conditional, conditional.status, conditional.child_id) == (
            True,
            OrderStatus.TRIGGERED,
            ORDER_ID,
        )
        assert (ordinary.conditional, ordinary.status, ordinary.filled) == (
            False,
            OrderStatus.PART_FILLED,
            Decimal("0.001"),
        )
        assert conditional.client_id == ordinary.client_id == "hfabcd-1-1_1-2s"

    account(play)


def test_in_hedge_mode_every_row_has_its_side() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        await venue.push(private("order", order_row(positionIdx=2, side="Sell")))
        await venue.push(private("execution", execution_row(side="Buy", closedSize="0.002")))
        await venue.push(private("position", position_row(positionIdx=2, side="Sell", liqPrice="")))
        order, fill, position = [await listener.next() for _ in range(3)]
        assert [order.position_side, fill.position_side, position.position_side] == [PositionSide.SHORT] * 3
        assert position.quantity == Decimal("-0.002")

    account(play, hedge_mode=True)


def test_an_unreadable_row_is_a_gap_and_the_connection_goes_on() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        await venue.push(private("position", position_row(size="NaN")))
        assert "unreadable" in (await listener.until(Lost)).reason
        await listener.until(Connected)
        await venue.push(private("position", position_row()))
        assert isinstance(await listener.next(), PositionReport)
        assert len(venue.dials) == 1

    account(play)


def test_a_thousand_executions_in_one_burst_are_a_thousand_fills_in_order() -> None:
    async def play(listener: Listener, venue: RecordingVenue) -> None:
        await listener.until(Connected)
        rows = [execution_row(execId=str(number)) for number in range(1000)]
        for at in range(0, 1000, 50):
            await venue.push(private("execution", *rows[at : at + 50]))
        assert [(await listener.next()).trade_id for _ in range(1000)] == [str(number) for number in range(1000)]

    account(play)
