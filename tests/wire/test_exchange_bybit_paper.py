"""The trading client and the streams against the paper exchange's Bybit dialect, over real HTTP and WebSockets."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from adapters.exchange.ccxt_client import CcxtTradingClient
from adapters.exchange.factory import open_account_stream, open_prices, open_trading
from adapters.exchange.interface import Connected, Lost, MarkPrice, VenueFailure
from domain.identity import Epoch, OrderKind, PositionId, mint_client_id
from domain.instrument import Instrument, PositionSide
from domain.orders import (
    Accepted,
    CancelResult,
    Fill,
    Found,
    NotFound,
    OrderIntent,
    OrderRef,
    OrderReport,
    OrderStatus,
    PositionReport,
    Rejected,
    RejectReason,
    Unknown,
)
from tests.candles import EPOCH
from tests.unit.exchange.listener import Listener
from tests.unit.exchange.recording_venue import now
from tests.wire.test_exchange_paper import Paper, Relay

pytestmark = pytest.mark.wire

SYMBOL = "BTCUSDT"
START_S = 20.0
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
QUANTITY = Decimal("0.010")
ids = count(1)


class BybitPaper(Paper):
    """A running paper exchange of the Bybit dialect."""

    hedge_mode = False

    def access(self, **changes: Any) -> Any:
        """Access to it, in its own position mode."""
        return super().access(**({"exchange": "bybit", "hedge_mode": self.hedge_mode} | changes))


@contextmanager
def running(state: Path, *more: str) -> Iterator[BybitPaper]:
    options = ["--volatility", "0", "--partial-fills", "0", "--symbols", "BTCUSDT,ETHUSDT", "--control", *more]
    command = [sys.executable, "-m", "adapters.paper_exchange", "--dialect", "bybit", "--state-dir", str(state)]
    process = subprocess.Popen([*command, *options], cwd=Path(__file__).parents[2])
    endpoint = state / "endpoint.json"
    deadline = time.monotonic() + START_S
    while not endpoint.exists():
        assert process.poll() is None, "the paper exchange did not start"
        assert time.monotonic() < deadline, f"no endpoint within {START_S} s"
        time.sleep(0.02)
    try:
        yield BybitPaper(json.loads(endpoint.read_text())["rest_url"])
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BybitPaper]:
    with running(tmp_path_factory.mktemp("bybit")) as exchange:
        yield exchange


@pytest.fixture(scope="module")
def hedged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BybitPaper]:
    with running(tmp_path_factory.mktemp("hedged"), "--hedge-mode") as exchange:
        exchange.hedge_mode = True
        yield exchange


def intent(kind: OrderKind, owner: PositionSide = LONG, **changes: Any) -> OrderIntent:
    number = next(ids)
    opens = kind is OrderKind.ENTRY
    values: dict[str, Any] = {
        "client_id": mint_client_id("test", PositionId(number), Epoch(1, 1), number, kind),
        "position_id": PositionId(number),
        "account": "main",
        "symbol": SYMBOL,
        "kind": kind,
        "side": owner.opening if opens else owner.closing,
        "position_side": owner,
        "quantity": QUANTITY,
        "reduce_only": not opens,
    }
    return OrderIntent(**(values | changes))


def attached(owner: PositionSide = LONG) -> OrderRef:
    return OrderRef(
        symbol=SYMBOL, client_id=None, exchange_id=None, conditional=True, attached=True, position_side=owner
    )


def ref(order: OrderIntent, exchange_id: str | None = None) -> OrderRef:
    return OrderRef(
        symbol=SYMBOL,
        client_id=order.client_id,
        exchange_id=exchange_id,
        conditional=order.kind.conditional,
        position_side=order.position_side,
    )


def scenario(
    paper: BybitPaper, play: Callable[[CcxtTradingClient, Instrument], Awaitable[None]], **access: Any
) -> None:
    """Connect, play, leave the account flat and without orders for the next."""

    async def run() -> None:
        client = open_trading(paper.access(**access), now)
        try:
            instruments = await client.connect()
            await play(client, instruments[SYMBOL])
        finally:
            await tidy(client)
            await client.close()

    asyncio.run(run())


async def tidy(client: CcxtTradingClient) -> None:
    snapshot = await client.snapshot()
    for position in snapshot.positions:
        if position.quantity:
            owner = LONG if position.quantity > 0 else SHORT
            await client.place(intent(OrderKind.EXIT, owner, quantity=abs(position.quantity)))
    for order in (await client.snapshot()).orders:
        await client.cancel(
            OrderRef(symbol=order.symbol, client_id=None, exchange_id=order.exchange_id, conditional=True)
        )


async def place(client: CcxtTradingClient, order: OrderIntent) -> Accepted:
    outcome = await client.place(order)
    assert isinstance(outcome, Accepted), outcome
    return outcome


async def price(client: CcxtTradingClient, instrument: Instrument, owner: PositionSide, pct: str) -> Decimal:
    """A price so many per cent from the mark, to the position's favour if positive, on the tick."""
    mark = (await client.mark_price(SYMBOL)).price
    return instrument.stop_price(owner, mark + mark * Decimal(pct) / 100 * owner.sign)


async def filled(client: CcxtTradingClient, order: OrderIntent) -> OrderReport:
    """The order as it ended: the venue acknowledges before it executes."""
    async with asyncio.timeout(20):
        while True:
            answer = await client.find(ref(order))
            if isinstance(answer, Found) and answer.report.status is OrderStatus.FILLED:
                return answer.report


async def listed(client: CcxtTradingClient, since: datetime, number: int) -> tuple[Fill, ...]:
    """That many executions. The question ends at the venue's time as we measured it: one of just now is in the next."""
    async with asyncio.timeout(20):
        while True:
            found = await client.fills(SYMBOL, since)
            if len(found) >= number:
                return found


def test_an_entry_with_its_stop_a_move_and_an_exit(paper: BybitPaper) -> None:
    async def play(client: CcxtTradingClient, instrument: Instrument) -> None:
        stop = await price(client, instrument, LONG, "-2")
        entry = intent(OrderKind.ENTRY, attached_stop=stop)
        outcome = await place(client, entry)
        assert outcome.report is None  # an acknowledgement says nothing of the order
        report = await filled(client, entry)
        assert (report.filled, report.exchange_id) == (QUANTITY, outcome.exchange_id)
        position = await client.position(SYMBOL, LONG)
        assert (position.quantity, position.attached_stop) == (QUANTITY, stop)

        standing = await client.find(attached())
        assert isinstance(standing, Found)
        assert (standing.report.trigger_price, standing.report.attached) == (stop, True)

        better = await price(client, instrument, LONG, "-1")
        move = intent(OrderKind.STOP, attached=True, trigger_price=better)
        assert (await place(client, move)).exchange_id == standing.report.exchange_id
        assert (await place(client, move)).exchange_id == standing.report.exchange_id  # by value: twice is once
        snapshot = await client.snapshot([(SYMBOL, LONG), ("ETHUSDT", LONG)])
        assert [(row.symbol, row.quantity, row.attached_stop) for row in snapshot.positions] == [
            (SYMBOL, QUANTITY, better),
            ("ETHUSDT", Decimal(0), Decimal(0)),
        ]
        assert [(order.attached, order.trigger_price, order.client_id) for order in snapshot.orders] == [
            (True, better, None)
        ]

        leave = intent(OrderKind.EXIT)
        await place(client, leave)
        await filled(client, leave)
        assert (await client.position(SYMBOL, LONG)).quantity == 0
        assert isinstance(await client.find(attached()), NotFound)
        assert (await client.snapshot()).orders == ()
        fills = await listed(client, outcome.sent_at - timedelta(seconds=1), 2)
        assert [fill.quantity for fill in fills][-2:] == [QUANTITY] * 2
        assert all(fill.fee > 0 for fill in fills)
        assert fills[-2].realized_pnl == 0
        assert fills[-1].realized_pnl < 0  # the spread

    scenario(paper, play)


def test_a_resting_stop_and_a_target_of_our_own(paper: BybitPaper) -> None:
    async def play(client: CcxtTradingClient, instrument: Instrument) -> None:
        entry = intent(OrderKind.ENTRY)
        await place(client, entry)
        await filled(client, entry)
        stop = intent(OrderKind.STOP, trigger_price=await price(client, instrument, LONG, "-2"))
        placed = await place(client, stop)
        target = intent(OrderKind.TAKE_PROFIT, trigger_price=await price(client, instrument, LONG, "3"))
        await place(client, target)
        better = await price(client, instrument, LONG, "-1")
        moved = intent(OrderKind.STOP, trigger_price=better, replaces=ref(stop, placed.exchange_id))
        assert (await place(client, moved)).exchange_id == placed.exchange_id
        assert (await place(client, moved)).exchange_id == placed.exchange_id  # unchanged is as good as changed
        found = await client.find(ref(stop))
        assert isinstance(found, Found)
        assert (found.report.trigger_price, found.report.status) == (better, OrderStatus.ACK)
        assert len((await client.snapshot()).orders) == 2
        assert (await client.cancel(ref(stop, placed.exchange_id))).result is CancelResult.DONE
        assert (await client.cancel(ref(stop, placed.exchange_id))).result is CancelResult.GONE
        found = await client.find(ref(stop))
        assert isinstance(found, Found)
        assert found.report.status is OrderStatus.CANCELED

    scenario(paper, play)


def test_what_the_venue_refuses_has_its_reason(paper: BybitPaper) -> None:
    async def play(client: CcxtTradingClient, instrument: Instrument) -> None:
        async def refused(order: OrderIntent) -> tuple[RejectReason, str]:
            outcome = await client.place(order)
            assert isinstance(outcome, Rejected), outcome
            return outcome.reason, outcome.code

        below, above = await price(client, instrument, LONG, "-2"), await price(client, instrument, LONG, "2")
        on_position: dict[str, Any] = {"attached": True, "trigger_price": below}
        assert await refused(intent(OrderKind.EXIT)) == (RejectReason.REDUCE_ONLY, "110017")
        assert await refused(intent(OrderKind.STOP, **on_position)) == (RejectReason.REDUCE_ONLY, "10001")
        crossed = await refused(intent(OrderKind.ENTRY, attached_stop=above))
        assert crossed == (RejectReason.WOULD_TRIGGER, "10001")
        entry = intent(OrderKind.ENTRY)
        await place(client, entry)
        await filled(client, entry)
        again = await client.place(entry)  # the id is taken: ask, do not believe that it was refused
        assert isinstance(again, Unknown)
        assert "110072" in again.text
        crossed = await refused(intent(OrderKind.STOP, **(on_position | {"trigger_price": above})))
        assert crossed == (RejectReason.WOULD_TRIGGER, "10001")
        assert (await refused(intent(OrderKind.STOP, trigger_price=above)))[0] is RejectReason.WOULD_TRIGGER
        assert (await refused(intent(OrderKind.ENTRY, quantity=Decimal(120))))[0] is RejectReason.NO_FUNDS
        nothing = OrderRef(symbol=SYMBOL, client_id=None, exchange_id="none", conditional=True)
        gone = await client.place(intent(OrderKind.STOP, trigger_price=below, replaces=nothing))
        assert isinstance(gone, Rejected)
        assert gone.code == "110001"

    scenario(paper, play)


def test_a_lost_reply_is_unknown_and_the_order_is_found(paper: BybitPaper) -> None:
    async def play(client: CcxtTradingClient, instrument: Instrument) -> None:
        stop = await price(client, instrument, LONG, "-2")
        entry = intent(OrderKind.ENTRY, attached_stop=stop)
        paper.control("drop_reply", next=1, path="order/create")
        assert isinstance(await client.place(entry), Unknown)
        await filled(client, entry)
        better = await price(client, instrument, LONG, "-1")
        move = intent(OrderKind.STOP, attached=True, trigger_price=better)
        paper.control("drop_reply", next=1, path="trading-stop")
        assert isinstance(await client.place(move), Unknown)
        found = await client.find(attached())
        assert isinstance(found, Found)
        assert found.report.trigger_price == better

    scenario(paper, play)


def test_a_lost_request_is_unknown_and_the_order_is_not_found(paper: BybitPaper) -> None:
    async def play(client: CcxtTradingClient, _: Instrument) -> None:
        entry = intent(OrderKind.ENTRY)
        paper.control("drop_request", next=1, path="order/create")
        assert isinstance(await client.place(entry), Unknown)
        assert isinstance(await client.find(ref(entry)), NotFound)

    scenario(paper, play)


def test_wrong_keys_are_told_from_all_else(paper: BybitPaper) -> None:
    async def run() -> None:
        client = open_trading(paper.access(secret="wrong"), now)
        await client.connect()
        with pytest.raises(VenueFailure, match="credentials code=10004"):
            await client.balance()
        await client.close()
        stream = open_account_stream(paper.access(secret="wrong"), now)
        listener = Listener(stream.watch())
        assert isinstance(await listener.next(), Lost)
        await stream.close()
        await asyncio.wait_for(listener.task, 20)

    asyncio.run(run())


async def until(listener: Listener, fits: Callable[[Any], bool]) -> list[Any]:
    """All news up to the first that fits."""
    heard: list[Any] = []
    async with asyncio.timeout(20):
        while not heard or not fits(heard[-1]):
            heard.append(await listener.next())
    return heard


def flat(news: Any) -> bool:
    return isinstance(news, PositionReport) and news.quantity == 0


def test_the_streams_tell_the_whole_story_of_an_attached_stop(paper: BybitPaper) -> None:
    async def play(client: CcxtTradingClient, instrument: Instrument) -> None:
        stream = open_account_stream(paper.access(), now)
        listener = Listener(stream.watch())
        assert isinstance(await listener.next(), Connected)
        stop = await price(client, instrument, LONG, "-2")
        mark = (await client.mark_price(SYMBOL)).price
        entry = intent(OrderKind.ENTRY, attached_stop=stop)
        await place(client, entry)
        heard = await until(listener, lambda news: isinstance(news, OrderReport) and news.attached)
        assert heard[-1].trigger_price == stop
        assert heard[-1].status is OrderStatus.ACK
        opened = [news for news in heard if isinstance(news, PositionReport) and news.quantity == QUANTITY]
        assert opened
        assert {news.client_id for news in heard if isinstance(news, Fill)} == {entry.client_id}

        paper.control("price", symbol=SYMBOL, mark=str(stop - 10))
        heard = await until(listener, flat)
        own = [news for news in heard if isinstance(news, OrderReport)]
        triggered = [news for news in own if news.conditional and news.status is OrderStatus.TRIGGERED]
        assert triggered
        child_id = triggered[0].child_id
        assert triggered[0].attached
        assert all(news.filled == 0 for news in own if news.conditional)
        executed = [news for news in own if not news.conditional]
        assert executed[-1].exchange_id == child_id
        assert (executed[-1].status, executed[-1].filled) == (OrderStatus.FILLED, QUANTITY)
        assert own.index(triggered[0]) < own.index(executed[0])
        (fill,) = [news for news in heard if isinstance(news, Fill)]
        assert (fill.exchange_id, fill.client_id, fill.liquidation) == (child_id, None, False)
        assert fill.realized_pnl < 0
        paper.control("price", symbol=SYMBOL, mark=str(mark))
        await stream.close()
        await asyncio.wait_for(listener.task, 20)

    scenario(paper, play)


def test_what_a_human_does_to_the_stop_is_heard(paper: BybitPaper) -> None:
    async def play(client: CcxtTradingClient, instrument: Instrument) -> None:
        entry = intent(OrderKind.ENTRY, attached_stop=await price(client, instrument, LONG, "-2"))
        await place(client, entry)
        await filled(client, entry)
        stream = open_account_stream(paper.access(), now)
        listener = Listener(stream.watch())
        assert isinstance(await listener.next(), Connected)
        paper.control("position_stop", symbol=SYMBOL, stop_loss="0")
        heard = await until(listener, lambda news: isinstance(news, PositionReport) and news.attached_stop == 0)
        assert heard[-1].quantity == QUANTITY
        assert isinstance(await client.find(attached()), NotFound)
        await stream.close()
        await asyncio.wait_for(listener.task, 20)

    scenario(paper, play)


def test_both_sides_of_a_symbol_in_hedge_mode(hedged: BybitPaper) -> None:
    async def play(client: CcxtTradingClient, instrument: Instrument) -> None:
        stream = open_account_stream(hedged.access(), now)
        listener = Listener(stream.watch())
        assert isinstance(await listener.next(), Connected)
        stops = {side: await price(client, instrument, side, "-2") for side in (LONG, SHORT)}
        for side in (LONG, SHORT):
            entry = intent(OrderKind.ENTRY, side, attached_stop=stops[side])
            await place(client, entry)
            await filled(client, entry)
        for side in (LONG, SHORT):
            position = await client.position(SYMBOL, side)
            assert (position.quantity, position.attached_stop) == (QUANTITY * side.sign, stops[side])
            standing = await client.find(attached(side))
            assert isinstance(standing, Found)
            assert (standing.report.position_side, standing.report.side) == (side, side.closing)
        better = await price(client, instrument, SHORT, "-1")
        await place(client, intent(OrderKind.STOP, SHORT, attached=True, trigger_price=better))
        target = intent(OrderKind.TAKE_PROFIT, SHORT, trigger_price=await price(client, instrument, SHORT, "3"))
        await place(client, target)
        leave = intent(OrderKind.EXIT)
        await place(client, leave)
        await filled(client, leave)
        shown = await client.snapshot([(SYMBOL, LONG), (SYMBOL, SHORT)])
        assert {row.position_side: (row.quantity, row.attached_stop) for row in shown.positions} == {
            LONG: (Decimal(0), Decimal(0)),
            SHORT: (-QUANTITY, better),
        }
        assert {(order.position_side, order.side, order.attached) for order in shown.orders} == {
            (SHORT, SHORT.closing, True),
            (SHORT, SHORT.closing, False),
        }
        heard = await until(listener, flat)
        assert {news.position_side for news in heard if isinstance(news, Fill)} == {LONG, SHORT}
        fills = await listed(client, now() - timedelta(hours=1), 3)
        assert [(fill.side, fill.position_side) for fill in fills] == [
            (LONG.opening, LONG),
            (SHORT.opening, SHORT),
            (LONG.closing, LONG),
        ]
        await stream.close()
        await asyncio.wait_for(listener.task, 20)

    scenario(hedged, play)


def test_streams_that_are_cut_come_back(paper: BybitPaper) -> None:
    async def run() -> None:
        relay = Relay(paper.url)
        access = paper.access(ws_url=await relay.open())
        account, prices = open_account_stream(access, now), open_prices(access, now)
        news, marks = Listener(account.watch()), Listener(prices.watch((SYMBOL,)))
        await news.until(Connected)
        await marks.until(MarkPrice)
        relay.cut()
        for listener in (news, marks):
            await listener.until(Lost)
            await listener.until(Connected)
        await marks.until(MarkPrice)
        client = open_trading(paper.access(), now)
        await client.connect()
        await place(client, intent(OrderKind.ENTRY))
        await news.until(Fill)
        await tidy(client)
        await client.close()
        await account.close()
        await prices.close()
        await asyncio.gather(news.task, marks.task)
        await relay.close()

    asyncio.run(run())


def test_candles_balance_and_leverage(paper: BybitPaper) -> None:
    async def play(client: CcxtTradingClient, _: Instrument) -> None:
        candles = await client.mark_candles(SYMBOL, now() - timedelta(minutes=30))
        assert len(candles) >= 2
        assert all(candle.low <= candle.open <= candle.high for candle in candles)
        span = timedelta(minutes=5)
        at = now()
        closed_at = at - (at - EPOCH) % span
        closed = await client.closed_candles(SYMBOL, span, 240, closed_at)
        assert [each.opened_at for each in closed] == [closed_at - n * span for n in range(240, 0, -1)]
        balance = await client.balance()
        assert balance.total > 0
        assert 0 < balance.free <= balance.total
        for leverage in (5, 5, 7):  # the second is 'not modified'
            await client.set_leverage(SYMBOL, leverage)
        with pytest.raises(VenueFailure):
            await client.set_leverage(SYMBOL, 100_000)

    scenario(paper, play)
