"""What the trading client puts on the wire, request by request, and what it makes of every way to fail."""

from __future__ import annotations

import asyncio
import decimal
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web

from adapters.exchange.ccxt_client import CcxtTradingClient
from adapters.exchange.factory import open_trading
from adapters.exchange.interface import VenueFailure
from domain.identity import ClientOrderId, OrderKind
from domain.instrument import PositionSide
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
from tests.unit.exchange.recording_venue import (
    KEY,
    SECRET,
    RecordingVenue,
    Reply,
    algo_row,
    cut_the_line,
    intent,
    now,
    order_row,
    position_row,
    recording_venue,
)

pytestmark = pytest.mark.wire

ORDER, ALGO = "POST /fapi/v1/order", "POST /fapi/v1/algoOrder"
STOP_REF = OrderRef(symbol="BTCUSDT", client_id=ClientOrderId("hf-s"), exchange_id=None, conditional=True)
ENTRY_REF = OrderRef(symbol="BTCUSDT", client_id=ClientOrderId("hf-e"), exchange_id=None, conditional=False)


def scenario(
    play: Callable[[CcxtTradingClient, RecordingVenue], Awaitable[None]],
    answers: dict[str, Reply] | None = None,
    **access: Any,
) -> None:
    """Connect to a recording venue, forget what that took, play, close."""

    async def run() -> None:
        async with recording_venue(**(answers or {})) as venue:
            client = open_trading(venue.access(**access), now)
            try:
                await client.connect()
                venue.seen.clear()
                await play(client, venue)
            finally:
                await client.close()

    asyncio.run(run())


def refusal(code: int) -> Reply:
    return 400, {"code": code, "msg": "some words"}


def test_connecting_takes_two_requests() -> None:
    async def run() -> None:
        async with recording_venue() as venue:
            client = open_trading(venue.access(), now)
            instruments = await client.connect()
            assert venue.paths() == ["GET /fapi/v1/exchangeInfo", "GET /fapi/v1/time"]
            assert instruments["BTCUSDT"].tick == Decimal("0.1")
            await client.close()

    asyncio.run(run())


def test_an_entry_is_one_market_order() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        outcome = await client.place(intent())
        assert isinstance(outcome, Accepted)
        assert outcome.report is not None
        assert (outcome.exchange_id, outcome.report.status) == ("8389765591", OrderStatus.FILLED)
        assert venue.paths() == [ORDER]
        assert venue.last().window == "2000"
        assert venue.last().params == {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "MARKET",
            "quantity": "0.002",
            "newOrderRespType": "RESULT",
            "newClientOrderId": "hfabcd-1-1_1-1e",
        }

    scenario(play)


def test_an_entry_with_a_bound_is_a_limit_order_that_does_not_rest() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        await client.place(intent(limit_price=Decimal("60300.10")))
        assert venue.paths() == [ORDER]
        assert venue.last().params == {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "IOC",
            "price": "60300.1",
            "quantity": "0.002",
            "newOrderRespType": "RESULT",
            "newClientOrderId": "hfabcd-1-1_1-1e",
        }

    scenario(play)


def test_a_stop_is_one_conditional_order_with_its_trigger() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        outcome = await client.place(intent(OrderKind.STOP))
        assert isinstance(outcome, Accepted)
        assert venue.paths() == [ALGO]
        assert venue.last().params == {
            "symbol": "BTCUSDT",
            "side": "SELL",
            "type": "STOP_MARKET",
            "quantity": "0.002",
            "triggerPrice": "55000.1",
            "reduceOnly": "true",
            "workingType": "MARK_PRICE",
            "algoType": "CONDITIONAL",
            "newOrderRespType": "RESULT",
            "clientAlgoId": "hfabcd-1-1_1-2s",
        }

    scenario(play)


def test_exit_take_profit_and_last_price_trigger() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        await client.place(intent(OrderKind.EXIT))
        assert venue.paths() == [ORDER]
        assert (venue.last().params["type"], venue.last().params["reduceOnly"]) == ("MARKET", "true")
        await client.place(intent(OrderKind.TAKE_PROFIT, trigger_by=TriggerBy.LAST))
        assert venue.paths() == [ORDER, ALGO]
        assert (venue.last().params["type"], venue.last().params["workingType"]) == (
            "TAKE_PROFIT_MARKET",
            "CONTRACT_PRICE",
        )

    scenario(play)


def test_a_stop_that_closes_the_position_has_neither_quantity_nor_reduce_only() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        await client.place(intent(OrderKind.STOP, close_position=True))
        assert venue.paths() == [ALGO]
        assert venue.last().params["closePosition"] == "true"
        assert {"quantity", "reduceOnly"}.isdisjoint(venue.last().params)

    scenario(play)


@pytest.mark.parametrize("side", list(PositionSide))
@pytest.mark.parametrize("kind", list(OrderKind))
def test_in_hedge_mode_the_position_side_replaces_reduce_only(side: PositionSide, kind: OrderKind) -> None:
    opens = kind is OrderKind.ENTRY
    order = intent(kind, position_side=side, side=side.opening if opens else side.closing)

    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        await client.place(order)
        sent = venue.last().params
        assert (sent["positionSide"], sent["side"]) == (side.upper(), order.side.upper())
        assert "reduceOnly" not in sent

    scenario(play, hedge_mode=True)


@pytest.mark.parametrize("wanted", [{"attached": True}, {"replaces": STOP_REF}])
def test_a_stop_that_this_venue_cannot_set_is_not_sent_as_another(wanted: dict[str, Any]) -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        outcome = await client.place(intent(OrderKind.STOP, **wanted))
        assert isinstance(outcome, Rejected)
        assert outcome.reason is RejectReason.INSANE
        assert venue.seen == []

    scenario(play)


def test_the_row_of_the_side_asked_for_counts_in_hedge_mode_only() -> None:
    rows = [position_row(positionSide=side, positionAmt=amount) for side, amount in (("LONG", "1"), ("SHORT", "-2"))]

    async def hedged(client: CcxtTradingClient, _: RecordingVenue) -> None:
        assert (await client.position("BTCUSDT", PositionSide.SHORT)).quantity == -2

    async def one_way(client: CcxtTradingClient, _: RecordingVenue) -> None:
        assert (await client.position("BTCUSDT", PositionSide.SHORT)).position_side is None

    scenario(hedged, {"GET /fapi/v2/positionRisk": (200, rows)}, hedge_mode=True)
    scenario(one_way)


def test_a_reply_that_is_not_final_says_so() -> None:
    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        outcome = await client.place(intent())
        assert isinstance(outcome, Accepted)
        assert outcome.report is not None
        assert (outcome.report.status, outcome.report.filled) == (OrderStatus.ACK, Decimal(0))

    scenario(play, {ORDER: (200, order_row(status="NEW", executedQty="0", avgPrice="0"))})


def test_an_insane_order_never_leaves() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        outcome = await client.place(intent(OrderKind.STOP, trigger_price=Decimal("55000.123")))
        assert isinstance(outcome, Rejected)
        assert (outcome.reason, outcome.code) == (RejectReason.INSANE, "local")
        assert "tick" in outcome.text
        assert venue.seen == []

    scenario(play)


def test_nothing_leaves_before_connecting() -> None:
    async def run() -> None:
        async with recording_venue() as venue:
            client = open_trading(venue.access(), now)
            assert isinstance(await client.place(intent()), Rejected)
            with pytest.raises(VenueFailure, match="not connected"):
                await client.balance()
            assert venue.seen == []

    asyncio.run(run())


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (-2021, RejectReason.WOULD_TRIGGER),
        (-2022, RejectReason.REDUCE_ONLY),
        (-2019, RejectReason.NO_FUNDS),
        (-4045, RejectReason.LIMIT),
        (-2015, RejectReason.CREDENTIALS),
    ],
)
def test_a_refusal_is_certain_and_has_its_reason(code: int, reason: RejectReason) -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        outcome = await client.place(intent(OrderKind.STOP))
        assert isinstance(outcome, Rejected)
        assert (outcome.reason, outcome.code) == (reason, str(code))
        assert venue.paths() == [ALGO]

    scenario(play, {ALGO: refusal(code)})


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def no_json(_: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>all is well</html>", content_type="text/html")


@pytest.mark.parametrize(
    "answer",
    [
        cut_the_line,
        hang,
        no_json,
        (500, "oops"),
        (502, {}),
        (503, {"code": -1001, "msg": "Internal error"}),
        (408, {"code": -1007, "msg": "Timeout waiting for response from backend server."}),
        (400, {"code": -1006, "msg": "unexpected response"}),
        (400, {"code": -4116, "msg": "ClientOrderId is duplicated."}),
        (200, {}),
        (200, []),
        (200, {"orderId": 1}),
        (200, algo_row(clientAlgoId="somebody-elses")),
    ],
)
def test_what_may_have_been_carried_out_is_unknown_and_sent_once(answer: Reply) -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        before = now()
        outcome = await client.place(intent(OrderKind.STOP))
        assert isinstance(outcome, Unknown), outcome
        assert venue.paths() == [ALGO]
        assert outcome.absence_proof_at == outcome.sent_at + timedelta(seconds=3)
        assert before <= outcome.sent_at <= now()
        assert SECRET not in outcome.text
        assert KEY not in outcome.text

    scenario(play, {ALGO: answer}, timeout_s=0.3)


def test_an_order_that_could_not_be_sent_is_certain_not_to_exist() -> None:
    async def run() -> None:
        async with recording_venue() as venue:
            client = open_trading(venue.access(), now)
            await client.connect()
        # The venue is gone: nobody listens, so no byte can leave. The question uses up what was kept alive.
        assert isinstance(await client.find(ENTRY_REF), NoAnswer)
        outcome = await client.place(intent())
        assert isinstance(outcome, Rejected), outcome
        assert outcome.reason is RejectReason.TRANSIENT
        await client.close()

    asyncio.run(run())


def test_the_ambient_decimal_context_stays_ours() -> None:
    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        before = decimal.getcontext().copy()
        await client.place(intent(OrderKind.STOP))
        await client.snapshot()
        after = decimal.getcontext()
        assert (after.rounding, after.prec, after.traps) == (before.rounding, before.prec, before.traps)  # T16

    scenario(play)


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ((200, {"algoId": 1, "clientAlgoId": "hf-s", "code": "200", "msg": "success"}), CancelResult.DONE),
        (refusal(-2011), CancelResult.GONE),
        (refusal(-20124), CancelResult.GONE),
        (refusal(-4117), CancelResult.REFUSED),
        (refusal(-1015), CancelResult.REFUSED),
        ((500, ""), CancelResult.UNKNOWN),
        (hang, CancelResult.UNKNOWN),
    ],
)
def test_cancelling_a_stop(answer: Reply, result: CancelResult) -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        assert (await client.cancel(STOP_REF)).result is result
        assert venue.paths() == ["DELETE /fapi/v1/algoOrder"]
        assert venue.last().params == {"clientAlgoId": "hf-s"}

    scenario(play, {"DELETE /fapi/v1/algoOrder": answer}, timeout_s=0.3)


def test_cancelling_by_exchange_id() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        ref = OrderRef(symbol="BTCUSDT", client_id=None, exchange_id="77", conditional=False)
        assert (await client.cancel(ref)).result is CancelResult.DONE
        assert venue.last().params == {"symbol": "BTCUSDT", "orderId": "77"}

    scenario(play, {"DELETE /fapi/v1/order": (200, order_row(status="CANCELED"))})


def test_finding_an_order() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        found = await client.find(STOP_REF)
        assert isinstance(found, Found)
        assert (found.report.status, found.report.child_id) == (OrderStatus.TRIGGERED, "77")
        assert venue.last().params == {"clientAlgoId": "hf-s"}
        assert isinstance(await client.find(ENTRY_REF), NotFound)
        assert venue.last().params == {"symbol": "BTCUSDT", "origClientOrderId": "hf-e"}
        venue.answers["GET /fapi/v1/order"] = (503, "")
        assert isinstance(await client.find(ENTRY_REF), NoAnswer)
        venue.answers["GET /fapi/v1/order"] = (200, [])
        assert isinstance(await client.find(ENTRY_REF), NoAnswer)

    triggered = algo_row(algoStatus="TRIGGERED", actualOrderId="77")
    scenario(play, {"GET /fapi/v1/algoOrder": (200, triggered), "GET /fapi/v1/order": refusal(-2013)})


def test_an_order_without_any_id_cannot_be_asked_for() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        answer = await client.find(OrderRef(symbol="BTCUSDT", client_id=None, exchange_id=None, conditional=False))
        assert isinstance(answer, NoAnswer)
        assert "neither an exchange id nor a client id" in answer.text
        assert venue.seen == []

    scenario(play)


def test_a_snapshot_is_three_requests() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        snapshot = await client.snapshot()
        assert sorted(venue.paths()) == [
            "GET /fapi/v1/openAlgoOrders",
            "GET /fapi/v1/openOrders",
            "GET /fapi/v2/positionRisk",
        ]
        assert all(request.params == {} for request in venue.seen)
        assert [position.quantity for position in snapshot.positions] == [0]
        assert [order.conditional for order in snapshot.orders] == [True]
        assert snapshot.asked_at <= snapshot.answered_at
        assert snapshot.positions[0].at <= snapshot.asked_at + timedelta(milliseconds=1)

    scenario(play)


@pytest.mark.parametrize("part", ["/fapi/v1/openAlgoOrders", "/fapi/v1/openOrders", "/fapi/v2/positionRisk"])
@pytest.mark.parametrize(
    "answer", [(500, ""), (200, {}), (200, [{"symbol": "BTCUSDT"}]), (200, "null"), refusal(-1003)]
)
def test_a_snapshot_of_which_a_part_fails_is_none(part: str, answer: Reply) -> None:
    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        with pytest.raises(VenueFailure):
            await client.snapshot()

    scenario(play, {f"GET {part}": answer})


def test_a_snapshot_fails_at_once_with_its_first_part() -> None:
    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        async with asyncio.timeout(3):
            with pytest.raises(VenueFailure, match="HTTP 500"):
                await client.snapshot()

    answers: dict[str, Reply] = {"GET /fapi/v2/positionRisk": hang, "GET /fapi/v1/openOrders": (500, "")}
    scenario(play, answers, timeout_s=20)


def test_an_empty_list_of_positions_is_no_proof_that_all_are_flat() -> None:
    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        with pytest.raises(VenueFailure, match="positionRisk is empty"):
            await client.snapshot()
        with pytest.raises(VenueFailure, match="0 rows"):
            await client.position("BTCUSDT", None)

    scenario(play, {"GET /fapi/v2/positionRisk": (200, [])})


def test_one_position() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        assert (await client.position("BTCUSDT", None)).quantity == Decimal("0.002")
        assert venue.last().params == {"symbol": "BTCUSDT"}

    scenario(play, {"GET /fapi/v2/positionRisk": (200, [position_row(positionAmt="0.002", entryPrice="60000")])})


def trades(first: int, count: int) -> list[dict[str, Any]]:
    shared = {
        "symbol": "BTCUSDT",
        "orderId": 9,
        "side": "BUY",
        "qty": "0.001",
        "price": "60000",
        "positionSide": "BOTH",
    }
    money = {"commission": "0.03", "commissionAsset": "USDT", "realizedPnl": "0"}
    return [{"id": first + number, "time": 1763458576201, **shared, **money} for number in range(count)]


def test_fills_follow_the_pages_to_the_end() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if "fromId" not in request.query:
            return web.json_response(trades(1, 1000))
        first = int(request.query["fromId"])
        return web.json_response(trades(first, 1000 if first < 2000 else 7))

    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        fills = await client.fills("BTCUSDT", now() - timedelta(hours=1))
        assert [int(fill.trade_id) for fill in fills] == list(range(1, 2008))
        assert [request.params.get("fromId") for request in venue.seen] == [None, "1001", "2001"]

    scenario(play, {"GET /fapi/v1/userTrades": answer})


def test_fills_of_a_span_that_is_longer_than_the_venue_takes() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        spans.append(dict(request.query))
        if "fromId" in request.query:
            return web.json_response(trades(int(request.query["fromId"]), 2))
        return web.json_response(trades(5, 2) if len(spans) == 2 else [])

    spans: list[dict[str, str]] = []

    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        fills = await client.fills("BTCUSDT", now() - timedelta(days=20))
        assert [fill.trade_id for fill in fills] == ["5", "6", "7", "8"]
        first, second, third = spans
        week = timedelta(days=7) // timedelta(milliseconds=1)
        assert int(first["endTime"]) - int(first["startTime"]) == week - 1
        assert int(second["startTime"]) == int(first["endTime"]) + 1
        assert third["fromId"] == "7"

    scenario(play, {"GET /fapi/v1/userTrades": answer})


def test_mark_candles_follow_the_pages() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        start = int(request.query["startTime"])
        count = 1500 if len(starts) == 0 else 3
        starts.append(start)
        return web.json_response([[start + 60_000 * n, "1.5", "2", "1", "1.7", "0"] for n in range(count)])

    starts: list[int] = []

    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        candles = await client.mark_candles("BTCUSDT", now() - timedelta(days=2))
        assert len(candles) == 1503
        assert {late.opened_at - early.opened_at for early, late in pairwise(candles)} == {timedelta(minutes=1)}
        assert starts[0] % 60_000 == 0
        assert (candles[0].open, candles[0].high, candles[0].low, candles[0].close) == (
            Decimal("1.5"),
            Decimal(2),
            Decimal(1),
            Decimal("1.7"),
        )

    scenario(play, {"GET /fapi/v1/markPriceKlines": answer})


def test_leverage_that_is_set_already_is_success() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        await client.set_leverage("BTCUSDT", 10)
        assert venue.last().params == {"symbol": "BTCUSDT", "leverage": "10"}
        venue.answers["POST /fapi/v1/leverage"] = refusal(-4028)
        with pytest.raises(VenueFailure, match="-4028"):
            await client.set_leverage("BTCUSDT", 1000)

    scenario(play, {"POST /fapi/v1/leverage": refusal(-4059)})


def test_a_clock_that_is_off_is_put_right_once_for_all_who_hear_of_it() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        outcomes = await asyncio.gather(*(client.place(intent()) for _ in range(4)))
        assert [outcome.reason for outcome in outcomes if isinstance(outcome, Rejected)] == [RejectReason.CLOCK] * 4
        assert venue.paths().count("GET /fapi/v1/time") == 1
        assert venue.paths().count(ORDER) == 4

    scenario(play, {ORDER: refusal(-1021)})


def test_a_refusal_for_the_clock_does_not_wait_for_a_venue_that_does_not_tell_the_time() -> None:
    async def play(client: CcxtTradingClient, venue: RecordingVenue) -> None:
        venue.answers["GET /fapi/v1/time"] = hang
        async with asyncio.timeout(3):
            outcome = await client.place(intent())
        assert isinstance(outcome, Rejected)
        assert outcome.reason is RejectReason.CLOCK

    scenario(play, {ORDER: refusal(-1021)}, timeout_s=20)


def test_no_log_at_any_level_tells_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        with caplog.at_level(logging.DEBUG):
            await client.place(intent())
            await client.snapshot()

    scenario(play)
    assert KEY not in caplog.text
    assert "signature" not in caplog.text


def test_requests_carry_the_venues_time() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        stamps.append(int(request.query["timestamp"]))
        return web.json_response([position_row()])

    stamps: list[int] = []
    hour = 3_600_000

    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        asked_at = now()
        report = await client.position("BTCUSDT", None)
        assert abs(stamps[0] - (asked_at.timestamp() * 1000 + hour)) < 2000
        assert abs((report.at - asked_at).total_seconds() - 3600) < 2

    server_time = (200, {"serverTime": int(now().timestamp() * 1000) + hour})
    scenario(play, {"GET /fapi/v1/time": server_time, "GET /fapi/v2/positionRisk": answer})


def test_how_long_to_wait_is_passed_on() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"code": -1003, "msg": "banned"}, status=418, headers={"Retry-After": "97"})

    async def play(client: CcxtTradingClient, _: RecordingVenue) -> None:
        outcome = await client.place(intent())
        assert isinstance(outcome, Rejected)
        assert (outcome.reason, outcome.retry_after_s) == (RejectReason.RATE_LIMIT, 97)

    scenario(play, {ORDER: answer})


def test_an_unknown_exchange_is_refused_by_name() -> None:
    async def run() -> None:
        async with recording_venue() as venue:
            with pytest.raises(ValueError, match="'kraken'"):
                open_trading(venue.access(exchange="kraken"), now)

    asyncio.run(run())


def test_secrets_are_in_no_repr() -> None:
    async def run() -> None:
        async with recording_venue() as venue:
            shown = repr(venue.access())
            assert KEY not in shown
            assert SECRET not in shown

    asyncio.run(run())
