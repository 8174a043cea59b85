"""The adapter against the real paper exchange: unmodified ccxt, real sockets, a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from adapters.exchange.access import AccountAccess
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

pytestmark = pytest.mark.wire

SYMBOL = "BTCUSDT"
START_S = 20.0
LONG = PositionSide.LONG
ids = count(1)


class Paper:
    """A running paper exchange and the hand on it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def access(self, **changes: Any) -> AccountAccess:
        values: dict[str, Any] = {"account": "main", "exchange": "binanceusdm", "api_key": "paper", "secret": "paper"}
        addresses = {"rest_url": self.url, "ws_url": self.url.replace("http", "ws")}
        return AccountAccess(**(values | addresses | changes))

    def control(self, command: str, **asked: Any) -> Any:
        request = urllib.request.Request(f"{self.url}/control/{command}", json.dumps(asked).encode(), method="POST")  # noqa: S310
        with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310
            return json.load(reply)


class Relay:
    """A line to the paper exchange that can be cut."""

    def __init__(self, target: str) -> None:
        address = urlsplit(target)
        self._host, self._port = address.hostname, address.port
        self._ends: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> str:
        """The address to connect to."""
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return f"ws://{host}:{port}"

    def cut(self) -> None:
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def close(self) -> None:
        assert self._server is not None
        self.cut()
        self._server.close()
        await self._server.wait_closed()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        self._ends |= {writer, far_writer}
        await asyncio.gather(self._pass_on(reader, far_writer), self._pass_on(far_reader, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
        writer.close()


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paper]:
    state = tmp_path_factory.mktemp("paper")
    options = ["--volatility", "0", "--partial-fills", "0", "--symbols", "BTCUSDT,ETHUSDT", "--control"]
    command = [sys.executable, "-m", "adapters.paper_exchange", "--state-dir", str(state), *options]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    endpoint = state / "endpoint.json"
    deadline = time.monotonic() + START_S
    while not endpoint.exists():
        assert process.poll() is None, "the paper exchange did not start"
        assert time.monotonic() < deadline, f"no endpoint within {START_S} s"
        time.sleep(0.02)
    try:
        yield Paper(json.loads(endpoint.read_text())["rest_url"])
    finally:
        process.terminate()
        process.wait(10)


def intent(
    kind: OrderKind, quantity: str = "0.010", trigger: Decimal | None = None, symbol: str = SYMBOL
) -> OrderIntent:
    number = next(ids)
    opens = kind is OrderKind.ENTRY
    return OrderIntent(
        client_id=mint_client_id("test", PositionId(number), Epoch(1, 1), number, kind),
        position_id=PositionId(number),
        account="main",
        symbol=symbol,
        kind=kind,
        side=LONG.opening if opens else LONG.closing,
        position_side=LONG,
        quantity=Decimal(quantity),
        reduce_only=not opens,
        trigger_price=trigger,
    )


def ref(order: OrderIntent, exchange_id: str | None = None) -> OrderRef:
    return OrderRef(
        symbol=order.symbol, client_id=order.client_id, exchange_id=exchange_id, conditional=order.kind.conditional
    )


def scenario(paper: Paper, play: Callable[[CcxtTradingClient, Instrument], Awaitable[None]], **access: Any) -> None:
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
    for order in snapshot.orders:
        done = OrderRef(
            symbol=order.symbol, client_id=None, exchange_id=order.exchange_id, conditional=order.conditional
        )
        await client.cancel(done)
    for position in snapshot.positions:
        if position.quantity:
            await client.place(intent(OrderKind.EXIT, str(position.quantity), symbol=position.symbol))


async def stop_price(client: CcxtTradingClient, instrument: Instrument, factor: str = "0.98") -> Decimal:
    return instrument.stop_price(LONG, (await client.mark_price(SYMBOL)).price * Decimal(factor))


def test_entry_stop_move_and_exit(paper: Paper) -> None:
    async def play(client: CcxtTradingClient, instrument: Instrument) -> None:
        entry = intent(OrderKind.ENTRY)
        outcome = await client.place(entry)
        assert isinstance(outcome, Accepted)
        assert outcome.report is not None
        assert (outcome.report.status, outcome.report.filled) == (OrderStatus.FILLED, Decimal("0.01"))
        position = await client.position(SYMBOL, None)
        assert position.quantity == Decimal("0.01")
        assert position.entry_price == outcome.report.average_price

        first = intent(OrderKind.STOP, trigger=await stop_price(client, instrument))
        placed = await client.place(first)
        assert isinstance(placed, Accepted)
        found = await client.find(ref(first))
        assert isinstance(found, Found)
        assert (found.report.exchange_id, found.report.status) == (placed.exchange_id, OrderStatus.ACK)
        assert found.report.trigger_price == first.trigger_price

        second = intent(OrderKind.STOP, trigger=await stop_price(client, instrument, "0.99"))
        assert isinstance(await client.place(second), Accepted)
        assert (await client.cancel(ref(first, placed.exchange_id))).result is CancelResult.DONE
        assert (await client.cancel(ref(first, placed.exchange_id))).result is CancelResult.GONE
        snapshot = await client.snapshot()
        assert [order.client_id for order in snapshot.orders] == [second.client_id]
        assert {row.symbol: row.quantity for row in snapshot.positions} == {
            SYMBOL: Decimal("0.01"),
            "ETHUSDT": Decimal(0),
        }

        assert isinstance(await client.place(intent(OrderKind.EXIT)), Accepted)
        assert (await client.position(SYMBOL, None)).quantity == 0
        fills = await client.fills(SYMBOL, outcome.sent_at - timedelta(seconds=1))
        assert [fill.quantity for fill in fills][-2:] == [Decimal("0.01")] * 2
        assert all(fill.fee > 0 for fill in fills)
        assert fills[-2].realized_pnl == 0
        assert fills[-1].realized_pnl < 0  # the spread

    scenario(paper, play)


def test_what_the_venue_refuses_has_its_reason(paper: Paper) -> None:
    async def play(client: CcxtTradingClient, instrument: Instrument) -> None:
        flat_exit = await client.place(intent(OrderKind.EXIT))
        assert isinstance(flat_exit, Rejected)
        assert flat_exit.reason is RejectReason.REDUCE_ONLY
        await client.place(intent(OrderKind.ENTRY))
        crossed = await client.place(intent(OrderKind.STOP, trigger=await stop_price(client, instrument, "1.01")))
        assert isinstance(crossed, Rejected)
        assert (crossed.reason, crossed.code) == (RejectReason.WOULD_TRIGGER, "-2021")
        small = await client.place(intent(OrderKind.ENTRY, "0.001"))
        assert isinstance(small, Rejected)
        assert small.reason is RejectReason.TOO_SMALL
        big = await client.place(intent(OrderKind.ENTRY, "120"))
        assert isinstance(big, Rejected)
        assert big.reason in (RejectReason.NO_FUNDS, RejectReason.LIMIT)

    scenario(paper, play)


def test_a_lost_reply_is_unknown_and_the_order_is_found(paper: Paper) -> None:
    async def play(client: CcxtTradingClient, instrument: Instrument) -> None:
        await client.place(intent(OrderKind.ENTRY))
        stop = intent(OrderKind.STOP, trigger=await stop_price(client, instrument))
        paper.control("drop_reply", next=1, path="algoOrder")
        outcome = await client.place(stop)
        assert isinstance(outcome, Unknown)
        found = await client.find(ref(stop))
        assert isinstance(found, Found)
        assert found.report.status is OrderStatus.ACK
        assert len((await client.snapshot()).orders) == 1
        again = await client.place(stop)  # the id is taken: ask, do not believe that it was refused
        assert isinstance(again, Unknown)
        assert "-4116" in again.text

    scenario(paper, play)


def test_a_lost_request_is_unknown_and_the_order_is_not_found(paper: Paper) -> None:
    async def play(client: CcxtTradingClient, _: Instrument) -> None:
        entry = intent(OrderKind.ENTRY)
        paper.control("drop_request", next=1, path="order")
        assert isinstance(await client.place(entry), Unknown)
        assert isinstance(await client.find(ref(entry)), NotFound)
        assert (await client.position(SYMBOL, None)).quantity == 0

    scenario(paper, play)


def test_wrong_keys_are_told_from_all_else(paper: Paper) -> None:
    async def run() -> None:
        client = open_trading(paper.access(secret="wrong"), now)
        await client.connect()
        with pytest.raises(VenueFailure, match="credentials code=-1022"):
            await client.balance()
        facts = await client.account_facts()
        assert {unread.reason for unread in facts.unread} == {RejectReason.CREDENTIALS}
        assert facts.clock_ahead_ms is not None
        await client.close()

    asyncio.run(run())


def test_the_streams_tell_the_whole_story_of_a_stop(paper: Paper) -> None:
    async def play(client: CcxtTradingClient, instrument: Instrument) -> None:
        stream = open_account_stream(paper.access(), now)
        listener = Listener(stream.watch())
        await listener.until(Connected)
        entry = intent(OrderKind.ENTRY)
        await client.place(entry)
        bought = await listener.until(Fill)
        assert (bought.client_id, bought.quantity) == (entry.client_id, Decimal("0.01"))
        mark = (await client.mark_price(SYMBOL)).price
        stop = intent(OrderKind.STOP, trigger=await stop_price(client, instrument))
        assert isinstance(await client.place(stop), Accepted)
        paper.control("price", symbol=SYMBOL, mark=str(instrument.round_down(mark * Decimal("0.97"))))
        child, flat, sold = None, None, None
        while child is None or flat is None or sold is None:
            item = await listener.next()
            if isinstance(item, OrderReport) and item.conditional and item.child_id is not None:
                child = item.child_id
            elif isinstance(item, PositionReport) and item.quantity == 0:
                flat = item
            elif isinstance(item, Fill):
                sold = item
        assert sold.exchange_id == child
        assert (flat.symbol, flat.position_side) == (SYMBOL, None)
        by_query = await client.find(ref(stop))
        assert isinstance(by_query, Found)
        assert (by_query.report.status, by_query.report.child_id) == (OrderStatus.TRIGGERED, child)
        paper.control("price", symbol=SYMBOL, mark=str(mark))
        await stream.close()

    scenario(paper, play)


def test_streams_that_are_cut_come_back(paper: Paper) -> None:
    async def run() -> None:
        relay = Relay(paper.url)
        access = paper.access(ws_url=await relay.open())
        account, prices = open_account_stream(access, now), open_prices(access, now)
        news, marks = Listener(account.watch()), Listener(prices.watch((SYMBOL,)))
        for listener in (news, marks):
            await listener.until(Connected)
        before = await marks.until(MarkPrice)
        relay.cut()
        for listener in (news, marks):
            await listener.until(Lost)
            await listener.until(Connected)
        after = await marks.until(MarkPrice)
        assert (after.symbol, after.price) == (before.symbol, before.price)
        assert after.at >= before.at
        await asyncio.to_thread(paper.control, "order", symbol=SYMBOL, side="BUY", quantity="0.010")
        assert (await news.until(Fill)).quantity == Decimal("0.01")
        await account.close()
        await prices.close()
        await relay.close()
        client = open_trading(paper.access(), now)
        await client.connect()
        await tidy(client)
        await client.close()

    asyncio.run(run())


def test_candles_balance_and_leverage(paper: Paper) -> None:
    async def play(client: CcxtTradingClient, instrument: Instrument) -> None:
        balance = await client.balance()
        assert balance.currency == "USDT"
        assert 0 < balance.free <= balance.total
        since = now() - timedelta(minutes=5)
        candles = await client.mark_candles(SYMBOL, since)
        assert len(candles) >= 1
        assert all(bar.low <= bar.open <= bar.high and bar.low <= bar.close <= bar.high for bar in candles)
        assert all(bar.opened_at >= since - timedelta(minutes=1) for bar in candles)
        span = timedelta(minutes=5)
        at = now()
        closed_at = at - (at - EPOCH) % span
        closed = await client.closed_candles(SYMBOL, span, 240, closed_at)
        assert [each.opened_at for each in closed] == [closed_at - n * span for n in range(240, 0, -1)]
        await client.set_leverage(SYMBOL, 10)
        await client.set_leverage(SYMBOL, 10)

    scenario(paper, play)
