"""What the trading client puts on the wire of Bybit, request by request, and what it makes of the replies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from adapters.exchange.ccxt_client import CcxtTradingClient
from adapters.exchange.factory import open_trading
from adapters.exchange.interface import VenueFailure
from adapters.exchange.rows import stamp
from domain.identity import ClientOrderId, OrderKind
from domain.instrument import PositionSide, Side
from domain.orders import (
    Accepted,
    CancelResult,
    Found,
    NoAnswer,
    NotFound,
    OrderRef,
    OrderStatus,
    Rejected,
    RejectReason,
    TriggerBy,
    Unknown,
)
from tests.unit.exchange.bybit_samples import (
    EXIT_ID,
    ORDER_ID,
    STOP_ID,
    acknowledged,
    attached_row,
    envelope,
    execution_row,
    flat_row,
    instrument_row,
    order_row,
    page,
    position_row,
    recording_bybit,
    refusal,
    stop_row,
    ticker_row,
)
from tests.unit.exchange.recording_venue import RecordingVenue, Reply, cut_the_line, intent, now

pytestmark = pytest.mark.wire

CREATE, AMEND, CANCEL = "POST /v5/order/create", "POST /v5/order/amend", "POST /v5/order/cancel"
TRADING_STOP = "POST /v5/position/trading-stop"
REALTIME, HISTORY, POSITIONS = "GET /v5/order/realtime", "GET /v5/order/history", "GET /v5/position/list"
EXECUTIONS, CLOSED = "GET /v5/execution/list", "GET /v5/position/closed-pnl"
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
BTC = {"category": "linear", "symbol": "BTCUSDT"}
STOP_REF = OrderRef(symbol="BTCUSDT", client_id=ClientOrderId(STOP_ID), exchange_id=None, conditional=True)


def attached_ref(side: PositionSide = LONG) -> OrderRef:
    return OrderRef(
        symbol="BTCUSDT", client_id=None, exchange_id=None, conditional=True, attached=True, position_side=side
    )


def scenario(
    play: Callable[[CcxtTradingClient, RecordingVenue], Awaitable[None]],
    answers: dict[str, Reply] | None = None,
    **access: Any,
) -> None:
    """Connect to a recording venue, forget what that took, play, close."""

    async def run() -> None:
        async with recording_bybit(**(answers or {})) as venue:
            client = open_trading(venue.access(**access), now)
            try:
                await client.connect()
                venue.seen.clear()
                await play(client, venue)
            finally:
                await client.close()

    asyncio.run(run())


def short(kind: OrderKind, **changes: Any) -> Any:
    opens = kind is OrderKind.ENTRY
    return intent(kind, position_side=SHORT, side=SHORT.opening if opens else SHORT.closing, **changes)


def test_connecting_takes_two_requests() -> None:
    async def run() -> None:
        async with recording_bybit() as venue:
            client = open_trading(venue.access(), now)
            instruments = await client.connect()
            assert venue.paths() == ["GET /v5/market/instruments-info", "GET /v5/market/time"]
            assert venue.seen[0].params == {"category": "linear", "limit": "1000"}
            assert instruments["BTCUSDT"].tick == Decimal("0.1")
            await client.close()

    asyncio.run(run())


def test_an_entry_takes_its_stop_along_in_one_request() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        outcome = await client.place(intent(attached_stop=Decimal("55000.10")))
        assert isinstance(outcome, Accepted)
        assert (outcome.exchange_id, outcome.report) == (ORDER_ID, None)
        assert venue.paths() == [CREATE]
        assert venue.last().window == "2000"
        assert venue.last().params == BTC | {
            "side": "Buy",
            "orderType": "Market",
            "qty": "0.002",
            "positionIdx": 0,
            "orderLinkId": "hfabcd-1-1_1-1e",
            "stopLoss": "55000.1",
            "slTriggerBy": "MarkPrice",
            "tpslMode": "Full",
        }

    scenario(play)


def test_an_entry_without_a_stop_and_one_whose_stop_watches_the_last_price() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        await client.place(intent())
        assert {"stopLoss", "slTriggerBy", "tpslMode", "reduceOnly", "triggerPrice"}.isdisjoint(venue.last().params)
        await client.place(intent(attached_stop=Decimal(55000), trigger_by=TriggerBy.LAST))
        assert venue.last().params["slTriggerBy"] == "LastPrice"

    scenario(play)


def test_an_entry_with_a_bound_is_a_limit_order_that_does_not_rest() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        await client.place(intent(limit_price=Decimal("60300.10"), attached_stop=Decimal(55000)))
        assert venue.paths() == [CREATE]
        asked = {name: venue.last().params[name] for name in ("orderType", "timeInForce", "price", "qty", "stopLoss")}
        assert asked == {
            "orderType": "Limit", "timeInForce": "IOC", "price": "60300.1", "qty": "0.002", "stopLoss": "55000"
        }  # fmt: skip

    scenario(play)


def test_an_exit_is_reduce_only() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        assert isinstance(await client.place(intent(OrderKind.EXIT)), Accepted)
        assert venue.last().params == BTC | {
            "side": "Sell",
            "orderType": "Market",
            "qty": "0.002",
            "positionIdx": 0,
            "orderLinkId": EXIT_ID,
            "reduceOnly": True,
        }

    scenario(play, {CREATE: acknowledged(link_id=EXIT_ID)})


@pytest.mark.parametrize(
    ("kind", "side", "direction"),
    [
        (OrderKind.STOP, LONG, 2),
        (OrderKind.STOP, SHORT, 1),
        (OrderKind.TAKE_PROFIT, LONG, 1),
        (OrderKind.TAKE_PROFIT, SHORT, 2),
    ],
)
def test_a_conditional_order_says_which_way_the_price_comes(
    kind: OrderKind, side: PositionSide, direction: int
) -> None:
    order = intent(kind, position_side=side, side=side.closing)

    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        assert isinstance(await client.place(order), Accepted)
        assert venue.paths() == [CREATE]
        assert venue.last().params == BTC | {
            "side": side.closing.capitalize(),
            "orderType": "Market",
            "qty": "0.002",
            "positionIdx": 0,
            "orderLinkId": order.client_id,
            "reduceOnly": True,
            "triggerPrice": "55000.1",
            "triggerDirection": direction,
            "triggerBy": "MarkPrice",
            "closeOnTrigger": True,
        }

    scenario(play, {CREATE: acknowledged(link_id=order.client_id)})


def test_a_stop_on_the_position_is_set_by_value() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        outcome = await client.place(intent(OrderKind.STOP, attached=True))
        assert isinstance(outcome, Accepted)
        assert outcome.exchange_id == "on BTCUSDT long"
        assert venue.paths() == [TRADING_STOP]
        assert venue.last().params == BTC | {
            "positionIdx": 0,
            "stopLoss": "55000.1",
            "slTriggerBy": "MarkPrice",
            "tpslMode": "Full",
        }

    scenario(play)


def test_a_stop_that_stands_already_is_accepted() -> None:
    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        outcome = await client.place(intent(OrderKind.STOP, attached=True))
        assert isinstance(outcome, Accepted)
        assert outcome.exchange_id == "on BTCUSDT long"

    scenario(play, {TRADING_STOP: refusal(34040, "not modified")})


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        (10001, "StopLoss:620000000 set for Buy position should lower than base_price:600000000", "would_trigger"),
        (10001, "can not set tp/sl/ts for zero position", "reduce_only"),
        (10001, "position idx not match position mode", "other"),
        (10006, "Too many visits!", "rate_limit"),
    ],
)
def test_why_a_stop_on_the_position_was_refused(code: int, text: str, reason: str) -> None:
    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        outcome = await client.place(intent(OrderKind.STOP, attached=True))
        assert isinstance(outcome, Rejected)
        assert (outcome.reason, outcome.code) == (RejectReason(reason), str(code))

    scenario(play, {TRADING_STOP: refusal(code, text)})


def test_a_lost_reply_to_a_stop_is_unknown() -> None:
    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        outcome = await client.place(intent(OrderKind.STOP, attached=True))
        assert isinstance(outcome, Unknown)
        assert outcome.absence_proof_at == outcome.sent_at + timedelta(seconds=3)

    scenario(play, {TRADING_STOP: cut_the_line})


def test_a_resting_stop_is_amended_in_place_and_what_it_watches_is_said_again() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        moved = intent(OrderKind.STOP, replaces=STOP_REF, trigger_price=Decimal("56000.10"))
        outcome = await client.place(moved)
        assert isinstance(outcome, Accepted)
        assert (outcome.client_id, outcome.exchange_id) == (moved.client_id, ORDER_ID)
        assert venue.paths() == [AMEND]
        assert venue.last().params == BTC | {
            "orderLinkId": STOP_ID,
            "qty": "0.002",
            "triggerPrice": "56000.1",
            "triggerBy": "MarkPrice",
        }

    scenario(play)


def test_an_amendment_that_changes_nothing_is_accepted_and_one_of_nothing_refused() -> None:
    known = OrderRef(symbol="BTCUSDT", client_id=None, exchange_id=ORDER_ID, conditional=True)

    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        outcome = await client.place(intent(OrderKind.STOP, replaces=known))
        assert isinstance(outcome, Accepted)
        assert outcome.exchange_id == ORDER_ID
        assert venue.last().params["orderId"] == ORDER_ID
        unnamed = await client.place(intent(OrderKind.STOP, replaces=STOP_REF))
        assert isinstance(unnamed, Rejected)  # it stands, but nobody here knows what the venue calls it
        venue.answers[AMEND] = refusal(110001, "order not exists or too late to replace")
        assert isinstance(await client.place(intent(OrderKind.STOP, replaces=known)), Rejected)

    scenario(play, {AMEND: refusal(10001, "The order remains unchanged as the parameters entered match")})


@pytest.mark.parametrize(("side", "index"), [(LONG, 1), (SHORT, 2)])
def test_hedge_mode_names_the_position_by_its_index(side: PositionSide, index: int) -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        await client.place(intent(OrderKind.STOP, attached=True, position_side=side, side=side.closing))
        assert venue.last().params["positionIdx"] == index
        await client.place(intent(OrderKind.EXIT, position_side=side, side=side.closing))
        assert (venue.last().params["positionIdx"], venue.last().params["reduceOnly"]) == (index, True)
        await client.place(intent(position_side=side, side=side.opening, attached_stop=Decimal(55000)))
        assert venue.last().params["positionIdx"] == index
        await client.cancel(attached_ref(side))
        assert venue.last().params["positionIdx"] == index

    scenario(play, hedge_mode=True)


def test_a_stop_is_taken_from_the_position_by_setting_it_to_zero() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        assert (await client.cancel(attached_ref())).result is CancelResult.DONE
        assert venue.paths() == [TRADING_STOP]
        assert venue.last().params == BTC | {"positionIdx": 0, "tpslMode": "Full", "stopLoss": "0"}
        for code, text in ((34040, "not modified"), (10001, "can not set tp/sl/ts for zero position")):
            venue.answers[TRADING_STOP] = refusal(code, text)
            assert (await client.cancel(attached_ref())).result is CancelResult.GONE

    scenario(play)


def test_an_order_is_cancelled_by_the_venues_id_or_by_ours() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        assert (await client.cancel(STOP_REF)).result is CancelResult.DONE
        assert venue.last().params == BTC | {"orderLinkId": STOP_ID}
        known = OrderRef(symbol="BTCUSDT", client_id=ClientOrderId("x"), exchange_id=ORDER_ID, conditional=True)
        await client.cancel(known)
        assert venue.paths() == [CANCEL, CANCEL]
        assert venue.last().params == BTC | {"orderId": ORDER_ID}
        venue.answers[CANCEL] = refusal(110001)
        assert (await client.cancel(STOP_REF)).result is CancelResult.GONE
        venue.answers[CANCEL] = refusal(10016)
        assert (await client.cancel(STOP_REF)).result is CancelResult.UNKNOWN

    scenario(play)


def test_the_stop_on_a_position_is_found_by_reading_the_position() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        answer = await client.find(attached_ref())
        assert isinstance(answer, Found)
        report = answer.report
        assert venue.paths() == [POSITIONS]
        assert venue.last().params == BTC
        assert (report.attached, report.conditional, report.client_id) == (True, True, None)
        assert (report.status, report.exchange_id) == (OrderStatus.ACK, "on BTCUSDT long")
        assert (report.side, report.trigger_price, report.quantity) == (
            Side.SELL,
            Decimal("55000.1"),
            Decimal("0.002"),
        )
        assert (report.close_position, report.reduce_only, report.position_side) == (True, True, None)

    scenario(play)


@pytest.mark.parametrize("nothing", ["", "0", "0.00"])
def test_no_stop_on_the_position_is_not_found(nothing: str) -> None:
    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        assert isinstance(await client.find(attached_ref()), NotFound)

    scenario(play, {POSITIONS: page(position_row(stopLoss=nothing))})
    scenario(play, {POSITIONS: page(flat_row())})


def test_a_stop_on_one_of_two_positions_is_that_of_its_side() -> None:
    rows = (
        position_row(positionIdx=1, stopLoss=""),
        position_row(positionIdx=2, side="Sell", stopLoss="65000", liqPrice=""),
    )

    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        assert isinstance(await client.find(attached_ref(LONG)), NotFound)
        answer = await client.find(attached_ref(SHORT))
        assert isinstance(answer, Found)
        assert (answer.report.side, answer.report.position_side) == (Side.BUY, SHORT)
        assert answer.report.exchange_id == "on BTCUSDT short"

    scenario(play, {POSITIONS: page(*rows)}, hedge_mode=True)


def test_a_position_that_is_not_in_the_reply_proves_nothing() -> None:
    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        assert isinstance(await client.find(attached_ref()), NoAnswer)
        with pytest.raises(VenueFailure, match="there must be 1"):
            await client.position("BTCUSDT", LONG)

    scenario(play, {POSITIONS: page()})


def test_an_order_is_looked_for_among_the_recent_ones_and_then_in_the_history() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        answer = await client.find(STOP_REF)
        assert isinstance(answer, Found)
        assert (answer.report.status, answer.report.conditional) == (OrderStatus.CANCELED, True)
        assert venue.paths() == [REALTIME, HISTORY]
        assert [request.params for request in venue.seen] == [BTC | {"orderLinkId": STOP_ID}] * 2
        venue.answers[HISTORY] = page()
        assert isinstance(await client.find(STOP_REF), NotFound)

    scenario(play, {REALTIME: page(), HISTORY: page(stop_row(orderStatus="Deactivated", cancelType="CancelByUser"))})


def test_an_answer_about_another_order_is_none() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        answer = await client.find(STOP_REF)
        assert isinstance(answer, NoAnswer)
        assert ORDER_ID in answer.text
        venue.answers[REALTIME] = page(stop_row(), stop_row())
        assert isinstance(await client.find(STOP_REF), NoAnswer)

    scenario(play, {REALTIME: page(order_row())})


def test_a_triggered_stop_is_found_as_triggered_and_its_child_as_an_order() -> None:
    child = OrderRef(symbol="BTCUSDT", client_id=None, exchange_id=ORDER_ID, conditional=False)

    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        asked, executed = await client.find(STOP_REF), await client.find(child)
        assert isinstance(asked, Found)
        assert isinstance(executed, Found)
        assert (asked.report.status, asked.report.child_id, asked.report.filled) == (
            OrderStatus.TRIGGERED,
            ORDER_ID,
            Decimal(0),
        )
        assert (executed.report.status, executed.report.filled, executed.report.conditional) == (
            OrderStatus.FILLED,
            Decimal("0.002"),
            False,
        )

    scenario(play, {REALTIME: page(stop_row(orderStatus="Filled", cumExecQty="0.002", avgPrice="54990"))})


def test_a_snapshot_is_two_requests_and_one_more_for_each_position_that_the_venue_left_out() -> None:
    async def positions(request: web.Request) -> web.StreamResponse:
        named = request.query.get("symbol")
        row = flat_row(symbol=named) if named is not None else position_row()
        return web.json_response(page(row)[1])  # type: ignore[index]

    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        snapshot = await client.snapshot()
        assert sorted(venue.paths()) == [REALTIME, POSITIONS]
        shown = {request.path: request.params for request in venue.seen}
        settled = {"category": "linear", "settleCoin": "USDT"}
        assert shown["/v5/order/realtime"] == settled | {"openOnly": "0", "limit": "50"}
        assert shown["/v5/position/list"] == settled | {"limit": "200"}
        assert [(row.symbol, row.quantity, row.attached_stop) for row in snapshot.positions] == [
            ("BTCUSDT", Decimal("0.002"), Decimal("55000.1"))
        ]
        assert [report.attached for report in snapshot.orders] == [False, True]
        venue.seen.clear()
        snapshot = await client.snapshot([("BTCUSDT", LONG), ("ETHUSDT", SHORT)])
        assert len(venue.seen) == 3
        assert venue.last().params == {"category": "linear", "symbol": "ETHUSDT"}
        assert [(row.symbol, row.quantity) for row in snapshot.positions] == [
            ("BTCUSDT", Decimal("0.002")),
            ("ETHUSDT", Decimal(0)),
        ]
        assert snapshot.left_out == 1

    scenario(play, {POSITIONS: positions, REALTIME: page(stop_row(), attached_row(orderId="other"))})


def test_a_held_side_that_is_not_listed_is_asked_for_and_the_listed_one_is_not_doubled() -> None:
    async def positions(request: web.Request) -> web.StreamResponse:
        both = (position_row(positionIdx=1), flat_row(positionIdx=2))
        return web.json_response(page(*(both if "symbol" in request.query else both[:1]))[1])  # type: ignore[index]

    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        snapshot = await client.snapshot([("BTCUSDT", LONG), ("BTCUSDT", SHORT)])
        assert [(row.position_side, row.quantity) for row in snapshot.positions] == [
            (LONG, Decimal("0.002")),
            (SHORT, Decimal(0)),
        ]
        assert (await client.position("BTCUSDT", SHORT)).quantity == 0

    scenario(play, {POSITIONS: positions, REALTIME: page()}, hedge_mode=True)


def test_a_snapshot_fails_as_a_whole() -> None:
    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        with pytest.raises(VenueFailure, match="10016"):
            await client.snapshot([("ETHUSDT", LONG)])

    scenario(play, {POSITIONS: refusal(10016)})


def paged(pages: dict[str, tuple[list[dict[str, Any]], str]]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        rows, cursor = pages[request.query.get("cursor", "")]
        return web.json_response(envelope({"list": rows, "nextPageCursor": cursor}))

    return answer


def test_pages_are_followed_to_the_end() -> None:
    """The venue gives its cursors ready for a query string: they go back as they came, and it reads them decoded."""
    pages = {
        "": ([position_row(symbol="A")], "one"),
        "one": ([position_row(symbol="B")], "two%3A1"),
        "two:1": ([position_row(symbol="C")], ""),
    }

    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        snapshot = await client.snapshot()
        assert [row.symbol for row in snapshot.positions] == ["A", "B", "C"]
        asked = [request.params.get("cursor") for request in venue.seen if request.path == "/v5/position/list"]
        assert asked == [None, "one", "two:1", None]

    scenario(play, {POSITIONS: paged(pages)})


def test_a_short_page_is_not_the_last_and_an_empty_one_is() -> None:
    pages = {
        "": ([order_row(orderId="1")], "one"),
        "one": ([], "still-a-cursor"),
    }

    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        assert [report.exchange_id for report in (await client.snapshot()).orders] == ["1"]
        asked = [request.params.get("cursor") for request in venue.seen if request.path == "/v5/order/realtime"]
        assert asked == [None, "one"]

    scenario(play, {REALTIME: paged(pages)})


def test_a_list_that_changes_between_its_pages_is_read_again() -> None:
    """A position is closed after the first page was read: what followed has moved up, and B was on neither page."""
    readings = [
        {"": ([position_row(symbol="A")], "1"), "1": ([position_row(symbol="C")], "")},
        {"": ([position_row(symbol="B")], "1"), "1": ([position_row(symbol="C")], "")},
    ]
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        cursor = request.query.get("cursor", "")
        asked.append(cursor)
        rows, following = readings[0 if len(asked) <= 2 else 1][cursor]
        return web.json_response(envelope({"list": rows, "nextPageCursor": following}))

    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        assert [row.symbol for row in (await client.snapshot()).positions] == ["B", "C"]
        assert asked == ["", "1", "", "", "1", ""]

    scenario(play, {POSITIONS: answer})


def test_a_list_that_goes_on_changing_is_no_answer() -> None:
    pages = {"": ([order_row(orderId="1")], "1"), "1": ([order_row(orderId="1")], "")}

    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        with pytest.raises(VenueFailure, match="changed underneath"):
            await client.snapshot()

    scenario(play, {REALTIME: paged(pages)})


def test_executions_come_oldest_first_with_what_they_gained_and_without_funding() -> None:
    closing = {"side": "Sell", "execPrice": "60100.1", "closedSize": "0.002", "orderId": "x"}
    rows = (
        execution_row(execId="3", execType="Funding", side="Sell", execQty="0"),
        execution_row(execId="2", execTime="1700000000002", **closing),
        execution_row(execId="1", execTime="1700000000001"),
    )

    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        fills = await client.fills("BTCUSDT", now() - timedelta(hours=1))
        assert [(fill.trade_id, fill.realized_pnl) for fill in fills] == [("1", Decimal(0)), ("2", Decimal("0.2"))]
        assert venue.paths() == [EXECUTIONS, CLOSED]
        assert venue.seen[0].params["limit"] == "100"
        assert int(venue.seen[0].params["endTime"]) - int(venue.seen[0].params["startTime"]) >= 3_600_000 - 5000
        assert venue.seen[1].params == venue.seen[0].params

    closed = {"orderId": "x", "avgEntryPrice": "60000.1", "closedSize": "0.002", "updatedTime": "1"}
    scenario(play, {EXECUTIONS: page(*rows), CLOSED: page(closed)})


@pytest.mark.parametrize(("age_s", "believed"), [(5, False), (60, True)])
def test_a_gain_that_is_not_listed_yet_is_asked_for_again(age_s: int, believed: bool) -> None:
    row = execution_row(
        side="Sell", closedSize="0.002", orderId="x", execTime=stamp(now() - timedelta(seconds=age_s))
    )

    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        if believed:
            (fill,) = await client.fills("BTCUSDT", now() - timedelta(hours=1))
            assert fill.realized_pnl == 0
            return
        with pytest.raises(VenueFailure, match="does not list order x yet"):
            await client.fills("BTCUSDT", now() - timedelta(hours=1))

    scenario(play, {EXECUTIONS: page(row), CLOSED: page()})


def test_an_execution_of_no_order_is_no_execution() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        with pytest.raises(VenueFailure, match="orderId is empty"):
            await client.fills("BTCUSDT", now() - timedelta(hours=1))

    scenario(play, {EXECUTIONS: page(execution_row(orderId=""))})


def test_what_an_execution_gained_is_not_asked_for_where_it_says_so() -> None:
    row = execution_row(side="Sell", closedSize="0.002", execPnl="-1.25")

    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        (fill,) = await client.fills("BTCUSDT", now() - timedelta(hours=1))
        assert (fill.realized_pnl, venue.paths()) == (Decimal("-1.25"), [EXECUTIONS])

    scenario(play, {EXECUTIONS: page(row)})


def test_a_span_longer_than_a_week_is_asked_for_in_parts() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        assert await client.fills("BTCUSDT", now() - timedelta(days=20)) == ()
        spans = [(int(request.params["startTime"]), int(request.params["endTime"])) for request in venue.seen]
        assert len(spans) == 3
        week = timedelta(days=7) // timedelta(milliseconds=1)
        assert all(end - start <= week for start, end in spans)
        assert [start for start, _ in spans[1:]] == [end + 1 for _, end in spans[:-1]]

    scenario(play)


def test_mark_candles_are_turned_round_and_asked_for_in_parts() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        start, end = int(request.query["start"]), int(request.query["end"])
        asked.append(request.query.get("limit", ""))
        rows = [[str(at), "1.5", "2", "1", "1.7"] for at in range(end, start - 1, -60_000)]
        return web.json_response(envelope({"list": rows}))

    asked: list[str] = []

    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        candles = await client.mark_candles("BTCUSDT", now() - timedelta(minutes=1500))
        opened = [candle.opened_at for candle in candles]
        assert opened == sorted(set(opened))
        assert asked == ["1000", "1000"]
        assert venue.last().params["interval"] == "1"
        assert (candles[0].open, candles[0].high, candles[0].low, candles[0].close) == (
            Decimal("1.5"),
            Decimal(2),
            Decimal(1),
            Decimal("1.7"),
        )

    scenario(play, {"GET /v5/market/mark-price-kline": answer})


def test_mark_price_balance_and_leverage() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        price = await client.mark_price("BTCUSDT")
        assert (price.price, venue.last().params) == (Decimal("60010.00"), BTC)
        balance = await client.balance()
        assert (balance.total, balance.free) == (Decimal("1000.02"), Decimal("987.96"))
        assert venue.last().params == {"accountType": "UNIFIED", "coin": "USDT"}
        await client.set_leverage("BTCUSDT", 10)
        assert venue.last().params == BTC | {"buyLeverage": "10", "sellLeverage": "10"}
        venue.answers["POST /v5/position/set-leverage"] = refusal(110013)
        with pytest.raises(VenueFailure, match="110013"):
            await client.set_leverage("BTCUSDT", 1000)
        venue.answers["GET /v5/market/tickers"] = page(ticker_row(), ticker_row())
        with pytest.raises(VenueFailure, match="must be 1"):
            await client.mark_price("BTCUSDT")

    scenario(play, {"POST /v5/position/set-leverage": refusal(110043, "leverage not modified")})


def test_a_broken_instrument_costs_its_symbol_only_and_other_contracts_are_left_out() -> None:
    rows = (
        instrument_row(symbol="BAD", priceFilter={}),
        instrument_row(symbol="BTCPERP", quoteCoin="USDC", settleCoin="USDC"),
        instrument_row(symbol="BTCUSDT-26DEC26", contractType="LinearFutures"),
        instrument_row(),
    )

    async def run() -> None:
        async with recording_bybit(**{"GET /v5/market/instruments-info": page(*rows)}) as venue:
            client = open_trading(venue.access(), now)
            assert list(await client.connect()) == ["BTCUSDT"]
            await client.close()

    asyncio.run(run())


def test_a_reply_to_another_order_is_no_acceptance() -> None:
    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        assert isinstance(await client.place(intent()), Unknown)

    scenario(play, {CREATE: acknowledged(link_id="somebody-elses")})


@pytest.mark.parametrize(("code", "reason"), [(10002, RejectReason.CLOCK), (110007, RejectReason.NO_FUNDS)])
def test_a_refused_entry_has_its_reason(code: int, reason: RejectReason) -> None:
    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        outcome = await client.place(intent())
        assert isinstance(outcome, Rejected)
        assert outcome.reason is reason

    scenario(play, {CREATE: refusal(code)})


@pytest.mark.parametrize("code", [10016, 110072])
def test_an_entry_of_unknown_fate_is_unknown(code: int) -> None:
    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        assert isinstance(await client.place(intent()), Unknown)

    scenario(play, {CREATE: refusal(code)})


def test_a_stop_that_closes_the_position_is_no_order_of_this_venue() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        outcome = await client.place(intent(OrderKind.STOP, close_position=True))
        assert isinstance(outcome, Rejected)
        assert outcome.reason is RejectReason.INSANE
        assert venue.seen == []

    scenario(play)
