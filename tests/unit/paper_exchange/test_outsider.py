"""Prices, acts of the venue, fills and triggers that go wrong, and humans: everyone but the client."""

from decimal import Decimal

import pytest

from adapters.paper_exchange.asked import ControlError
from adapters.paper_exchange.orders import AlgoStatus, Origin, PositionSide
from tests.unit.paper_exchange.hand import Hand
from tests.unit.paper_exchange.test_binance_streams import user_stream
from tests.unit.paper_exchange.venue import Venue, stop_params

ALGO = "/fapi/v1/algoOrder"
OPEN_ALGOS = "/fapi/v1/openAlgoOrders"


def mark(venue: Venue, symbol: str = "BTCUSDT") -> Decimal:
    return venue.exchange.book.prices[symbol].mark


# Prices


def test_a_price_with_its_last_and_index_apart(venue: Venue, hand: Hand) -> None:
    hand("price", symbol="BTCUSDT", mark="60000", last="61000.1", index="59000")
    price = venue.exchange.book.prices["BTCUSDT"]
    assert [str(each) for each in (price.mark, price.last, price.index)] == ["60000", "61000.1", "59000"]


def test_a_mark_far_from_the_last_price_triggers_by_its_own_kind_only(venue: Venue, hand: Hand) -> None:
    venue.buy()
    by_mark = venue.stop("63000.0", quantity="0.005")
    by_last = venue.stop("63000.0", quantity="0.005", workingType="CONTRACT_PRICE")
    hand("price", symbol="BTCUSDT", mark="64000", last="62000")
    assert venue.ok("GET", ALGO, algoId=by_last["algoId"])["algoStatus"] == "FINISHED"
    assert venue.ok("GET", ALGO, algoId=by_mark["algoId"])["algoStatus"] == "NEW"


def test_a_wild_print_triggers_and_is_gone(venue: Venue, hand: Hand) -> None:
    venue.buy()
    stop = venue.stop("63000.0")
    hand("wild", symbol="BTCUSDT", mark="50000")
    assert mark(venue) == 64000
    assert venue.ok("GET", ALGO, algoId=stop["algoId"])["algoStatus"] == "FINISHED"
    assert [line["mark"] for line in hand.lines("price") if line["symbol"] == "BTCUSDT"][-2:] == ["50000", "64000.00"]


def test_a_gap_goes_through_the_stop_and_fills_beyond_it(venue: Venue, hand: Hand) -> None:
    venue.buy()
    stop = venue.stop("63000.0")
    hand("gap", symbol="BTCUSDT", percent="-10")
    assert mark(venue) == 57600
    assert Decimal(venue.ok("GET", ALGO, algoId=stop["algoId"])["actualPrice"]) < 57600


def test_one_symbol_stands_still(venue: Venue, hand: Hand) -> None:
    hand("freeze", on=True, symbol="BTCUSDT")
    assert venue.exchange.frozen_symbols == {"BTCUSDT"}
    assert not venue.exchange.frozen
    hand("freeze", on=False, symbol="BTCUSDT")
    assert not venue.exchange.frozen_symbols


def test_the_spread_is_what_a_market_order_pays(venue: Venue, hand: Hand) -> None:
    hand("spread", bps="100")
    assert Decimal(venue.buy()["avgPrice"]) == 64320


# The venue's acts


def test_other_filters_hold_at_once_and_are_listed(venue: Venue, hand: Hand) -> None:
    hand("contract", symbol="BTCUSDT", tick="1", step="0.01", min_notional="700")
    assert venue.code("POST", ALGO, **stop_params(triggerPrice="63000.1")) == -1111
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.015"}
    assert venue.code("POST", "/fapi/v1/order", **order) == -1111
    assert venue.code("POST", "/fapi/v1/order", **order | {"quantity": "0.01"}) == -4164
    (row,) = [
        row for row in venue.ok("GET", "/fapi/v1/exchangeInfo", signed=False)["symbols"] if row["symbol"] == "BTCUSDT"
    ]
    filters = {row["filterType"]: row for row in row["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "1"
    assert filters["LOT_SIZE"]["stepSize"] == "0.01"
    assert venue.exchange.feeds["BTCUSDT"].contract.tick == 1


def test_a_halted_symbol_takes_no_orders_and_says_so(venue: Venue, hand: Hand) -> None:
    hand("halt", symbol="BTCUSDT", on=True)
    order = {"side": "BUY", "type": "MARKET", "quantity": "0.010"}
    assert venue.code("POST", "/fapi/v1/order", symbol="BTCUSDT", **order) == -4140
    assert venue.code("POST", ALGO, **stop_params()) == -4140
    venue.buy(symbol="ETHUSDT")
    status = {r["symbol"]: r["status"] for r in venue.ok("GET", "/fapi/v1/exchangeInfo", signed=False)["symbols"]}
    assert status == {"BTCUSDT": "SETTLING", "ETHUSDT": "TRADING"}
    hand("halt", symbol="BTCUSDT", on=False)
    venue.buy()


def test_both_caps_on_conditionals(venue: Venue, hand: Hand) -> None:
    hand("contract", symbol="BTCUSDT", max_conditionals=2)
    venue.stop("63000.0")
    venue.stop("62000.0")
    assert venue.code("POST", ALGO, **stop_params()) == -4045
    hand("contract", symbol="BTCUSDT", max_conditionals=10)
    hand("account_cap", conditionals=3)
    venue.stop("3000.00", symbol="ETHUSDT")
    assert venue.code("POST", ALGO, **stop_params()) == -4045


def test_a_stop_that_the_venue_takes_off_the_book(venue: Venue, hand: Hand) -> None:
    stop = venue.stop()
    hand("expire", algoId=stop["algoId"])
    assert venue.ok("GET", ALGO, algoId=stop["algoId"])["algoStatus"] == "EXPIRED"


def test_a_liquidation_as_the_stream_tells_it(venue: Venue, hand: Hand) -> None:
    venue.buy()
    stop = venue.stop()
    frames = user_stream(venue)
    order_id = hand("liquidate", symbol="BTCUSDT")["orderId"]
    assert not venue.exchange.book.open_positions()
    assert venue.ok("GET", ALGO, algoId=stop["algoId"])["algoStatus"] == "EXPIRED"
    fill = [frame["o"] for frame in frames if frame["e"] == "ORDER_TRADE_UPDATE"][-1]
    assert (fill["x"], fill["X"], fill["o"], fill["i"]) == ("CALCULATED", "FILLED", "LIQUIDATION", order_id)
    assert fill["c"].startswith("autoclose-")
    assert [row["orderId"] for row in venue.ok("GET", "/fapi/v1/forceOrders", autoCloseType="LIQUIDATION")] == [
        order_id
    ]


def test_auto_deleveraging_takes_a_part(venue: Venue, hand: Hand) -> None:
    venue.buy("0.020")
    order_id = hand("adl", symbol="BTCUSDT", quantity="0.005")["orderId"]
    order = venue.ok("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=order_id)
    assert order["clientOrderId"].startswith("adl_autoclose")
    assert venue.exchange.book.position("BTCUSDT").quantity == Decimal("0.015")
    assert [row["orderId"] for row in venue.ok("GET", "/fapi/v1/forceOrders", autoCloseType="ADL")] == [order_id]
    assert venue.ok("GET", "/fapi/v1/forceOrders", autoCloseType="LIQUIDATION") == []


# Triggers and fills that go wrong


def test_a_stop_is_rejected_at_its_trigger(venue: Venue, hand: Hand) -> None:
    venue.buy()
    stop = venue.stop()
    hand("spoil", symbol="BTCUSDT")
    frames = user_stream(venue)
    hand("price", symbol="BTCUSDT", mark="62900")
    assert [frame["o"]["X"] for frame in frames] == ["TRIGGERING", "REJECTED"]
    assert frames[-1]["o"]["rm"]
    assert venue.ok("GET", ALGO, algoId=stop["algoId"])["algoStatus"] == "REJECTED"
    assert venue.exchange.book.position("BTCUSDT").quantity == Decimal("0.010")


def test_a_stop_is_stuck_and_goes_on_when_released(venue: Venue, hand: Hand) -> None:
    venue.buy()
    stop = venue.stop()
    hand("stick", where={"client_id": stop["clientAlgoId"]})
    hand("price", symbol="BTCUSDT", mark="62900")
    assert venue.ok("GET", ALGO, algoId=stop["algoId"])["algoStatus"] == "TRIGGERING"
    assert venue.code("DELETE", ALGO, algoId=stop["algoId"]) == -2011
    hand("release", algoId=stop["algoId"])
    assert venue.ok("GET", ALGO, algoId=stop["algoId"])["algoStatus"] == "FINISHED"
    assert not venue.exchange.book.open_positions()


def test_cancelling_all_leaves_what_is_stuck_and_takes_the_rest(venue: Venue, hand: Hand) -> None:
    venue.buy("0.020")
    stuck, resting, other = venue.stop("63000.0"), venue.stop("60000.0"), venue.stop("61000.0")
    hand("stick")
    hand("price", symbol="BTCUSDT", mark="62900")
    hand("cancel", algoId=other["algoId"])
    assert hand("cancel_all", symbol="BTCUSDT")["cancelled"] == 1
    again = venue.stop("60000.0")
    assert venue.ok("DELETE", "/fapi/v1/algoOpenOrders", symbol="BTCUSDT")["code"] == 200
    states = {row["algoId"]: row["algoStatus"] for row in venue.ok("GET", "/fapi/v1/allAlgoOrders", symbol="BTCUSDT")}
    assert states[stuck["algoId"]] == "TRIGGERING"
    assert {states[each["algoId"]] for each in (resting, other, again)} == {"CANCELED"}


def test_a_stop_is_filled_in_part(venue: Venue, hand: Hand) -> None:
    venue.buy()
    stop = venue.stop()
    hand("part", path="STOP_MARKET")
    hand("price", symbol="BTCUSDT", mark="62900")
    done = venue.ok("GET", ALGO, algoId=stop["algoId"])
    assert (done["algoStatus"], done["actualQty"]) == ("FINISHED", "0.001")
    child = venue.ok("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=done["actualOrderId"])
    assert (child["status"], child["executedQty"]) == ("EXPIRED", "0.001")


def test_a_stop_on_a_position_outlives_it_and_can_be_cleared(venue: Venue, hand: Hand) -> None:
    for path in ("STOP_MARKET", "TAKE_PROFIT_MARKET"):
        hand("cling", symbol="BTCUSDT", path=path)
    for _once in range(2):
        hand("order", symbol="BTCUSDT", side="BUY", quantity="0.010")
        hand("position_stop", symbol="BTCUSDT", stop_loss="60000", take_profit="70000")
        hand("order", symbol="BTCUSDT", side="SELL", quantity="0.010", reduceOnly=True)
        left = [algo.trigger_price for algo in venue.exchange.book.open_algos.values()]
        assert left == ([] if _once else [Decimal(60000), Decimal(70000)])
        with pytest.raises(ControlError, match="POSITION_FLAT"):
            hand("position_stop", symbol="BTCUSDT", stop_loss="61000")
        if not _once:
            hand("position_stop", symbol="BTCUSDT", stop_loss="0", take_profit="0")
        with pytest.raises(ControlError, match="POSITION_FLAT"):
            hand("position_stop", symbol="BTCUSDT", stop_loss="0")
        assert not venue.exchange.book.open_algos


def test_a_market_order_is_acknowledged_before_it_is_filled(venue: Venue, hand: Hand) -> None:
    hand("hold_fill", ms=500)
    order = venue.buy(newClientOrderId="e1")
    assert (order["status"], order["executedQty"]) == ("NEW", "0")
    venue.now += 499
    venue.exchange.work()
    assert not venue.exchange.book.open_positions()
    venue.now += 1
    venue.exchange.work()
    assert venue.ok("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="e1")["status"] == "FILLED"


def test_a_market_order_expires_partly_filled(venue: Venue, hand: Hand) -> None:
    hand("cut_fill", share=30)
    order = venue.buy("0.010")
    assert (order["status"], order["executedQty"]) == ("EXPIRED", "0.003")
    assert venue.exchange.book.position("BTCUSDT").quantity == Decimal("0.003")


def test_partial_fills_on_demand(venue: Venue, hand: Hand) -> None:
    hand("partial_fills", percent=100)
    assert venue.buy("0.100")["status"] == "PARTIALLY_FILLED"
    for _ in range(3):
        venue.exchange.work()
    assert venue.exchange.book.position("BTCUSDT").quantity == Decimal("0.100")


# Humans


def test_a_humans_orders_have_their_origin(venue: Venue, hand: Hand) -> None:
    order_id = hand("order", symbol="BTCUSDT", side="BUY", quantity="0.010")["orderId"]
    algo_id = hand("stop", symbol="BTCUSDT", side="SELL", trigger="60000", quantity="0.010")["algoId"]
    whole = hand("stop", symbol="BTCUSDT", side="SELL", trigger="70000", take_profit=True)["algoId"]
    book = venue.exchange.book
    assert {book.orders[order_id].origin, book.algos[algo_id].origin, book.algos[whole].origin} == {Origin.HUMAN}
    assert book.algos[algo_id].reduce_only
    assert book.algos[whole].close_position
    assert hand("cancel_all", symbol="BTCUSDT") == {"ok": True, "cancelled": 2}
    assert book.algos[algo_id].status is AlgoStatus.CANCELED


def test_a_human_sets_and_takes_away_the_stop_on_a_position(venue: Venue, hand: Hand) -> None:
    venue.buy()
    hand("position_stop", symbol="BTCUSDT", stop_loss="60000")
    (algo,) = venue.exchange.book.open_algos.values()
    assert (algo.attached, algo.trigger_price, algo.origin) == (True, Decimal(60000), Origin.HUMAN)
    hand("position_stop", symbol="BTCUSDT", stop_loss="0")
    assert not venue.exchange.book.open_algos


def test_a_human_in_hedge_mode(venue: Venue, hand: Hand) -> None:
    hand("mode", hedge=True)
    hand("order", symbol="BTCUSDT", side="SELL", quantity="0.010", position_side="short")
    assert venue.exchange.book.position("BTCUSDT", PositionSide.SHORT).quantity == Decimal("-0.010")
    hand("stop", symbol="BTCUSDT", side="BUY", trigger="66000", quantity="0.010", position_side="SHORT")
    state = hand("state")
    assert state["position_sides"][0]["side"] == "SHORT"
    hand("leverage", symbol="BTCUSDT", leverage=3)
    assert venue.exchange.book.leverage("BTCUSDT") == 3
