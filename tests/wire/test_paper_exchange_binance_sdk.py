"""The venue's own Python SDK against the paper exchange: it checks every reply and frame against its types.

Nothing here knows ccxt: what another client reads must be there too.
"""

import asyncio
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.paper_exchange.program import Program

pytest.importorskip("binance_sdk_derivatives_trading_usds_futures", reason="a requirement of the tests alone")
from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
from binance_common.errors import BadRequestError, UnauthorizedError
from binance_sdk_derivatives_trading_usds_futures import DerivativesTradingUsdsFutures
from binance_sdk_derivatives_trading_usds_futures.rest_api.models import enums as rest

pytestmark = pytest.mark.wire

SYMBOL = "BTCUSDT"
SELL, BUY = rest.NewOrderSideEnum.SELL, rest.NewOrderSideEnum.BUY


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A standing market at 64,000 with control endpoints."""
    options = ("--volatility", "0", "--partial-fills", "0", "--control")
    program = Program(tmp_path_factory.mktemp("exchange"), *options).start()
    yield program
    program.close()


@pytest.fixture
def sdk(program: Program) -> Any:
    """The SDK on an account that is flat at 64,000 and has nothing resting."""
    made = client(program, "paper")
    program.control("price", symbol=SYMBOL, mark="64000")
    made.rest_api.cancel_all_algo_open_orders(SYMBOL)
    for position in made.rest_api.position_information_v3().data():
        amount = Decimal(position.position_amt)
        side = BUY if amount < 0 else SELL
        made.rest_api.new_order(
            SYMBOL, side, "MARKET", position_side=position.position_side, quantity=float(abs(amount))
        )
    if made.rest_api.get_current_position_mode().data().dual_side_position:
        made.rest_api.change_position_mode("false")
    return made


def client(program: Program, secret: str) -> Any:
    """The SDK as its users have it; its types are its own business, hence Any."""
    return DerivativesTradingUsdsFutures(
        config_rest_api=ConfigurationRestAPI(
            api_key="paper", api_secret=secret, base_path=program.endpoint["rest_url"], retries=0
        ),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=program.endpoint["ws_url"]),
    )


def resting_stop(sdk: Any, **more: Any) -> Any:
    asked = {"quantity": 0.01, "trigger_price": 63000.1, "reduce_only": "true"} | more
    return sdk.rest_api.new_algo_order(
        "CONDITIONAL",
        SYMBOL,
        rest.NewAlgoOrderSideEnum.SELL,
        "STOP_MARKET",
        working_type=rest.NewAlgoOrderWorkingTypeEnum.MARK_PRICE,
        **asked,
    ).data()


def test_instruments_prices_and_candles(sdk: Any) -> None:
    api = sdk.rest_api
    assert api.check_server_time().data().server_time > 0
    instrument = next(row for row in api.exchange_information().data().symbols if row.symbol == SYMBOL)
    filters = {row.filter_type: row for row in instrument.filters}
    assert (filters["PRICE_FILTER"].tick_size, filters["MAX_NUM_ALGO_ORDERS"].limit) == ("0.10", 10)
    assert api.mark_price(SYMBOL).data().actual_instance.mark_price == "64000"
    quote = api.symbol_order_book_ticker(SYMBOL).data().actual_instance
    assert Decimal(quote.bid_price) < 64000 < Decimal(quote.ask_price)
    interval = rest.KlineCandlestickDataIntervalEnum.INTERVAL_1m
    assert len(api.kline_candlestick_data(SYMBOL, interval, limit=5).data()) == 5
    marks = rest.MarkPriceKlineCandlestickDataIntervalEnum.INTERVAL_5m
    assert len(api.mark_price_kline_candlestick_data(SYMBOL, marks, limit=5).data()) == 5
    assert api.ticker24hr_price_change_statistics(SYMBOL).data().actual_instance.symbol == SYMBOL
    assert len(api.order_book(SYMBOL, limit=5).data().bids) == 5
    assert Decimal(api.recent_trades_list(SYMBOL).data()[0].price) > 0
    assert Decimal(api.compressed_aggregate_trades_list(SYMBOL).data()[0].p) > 0


def test_an_order_a_stop_and_its_trigger(program: Program, sdk: Any) -> None:
    api = sdk.rest_api
    result = rest.NewOrderNewOrderRespTypeEnum.RESULT
    entry = api.new_order(
        SYMBOL, BUY, "MARKET", quantity=0.01, new_client_order_id="sdk-e1", new_order_resp_type=result
    ).data()
    assert (entry.status, entry.executed_qty, entry.position_side) == ("FILLED", "0.01", "BOTH")
    assert api.query_order(SYMBOL, orig_client_order_id="sdk-e1").data().order_id == entry.order_id
    (position,) = api.position_information_v3(SYMBOL).data()
    assert (position.position_amt, position.entry_price) == ("0.01", "64006.40000000")
    stop = resting_stop(sdk, client_algo_id="sdk-s1")
    assert (stop.algo_status, stop.trigger_price, stop.reduce_only) == ("NEW", "63000.1", True)
    assert [row.algo_id for row in api.current_all_algo_open_orders(symbol=SYMBOL).data()] == [stop.algo_id]
    program.control("price", symbol=SYMBOL, mark="62900")
    done = api.query_algo_order(client_algo_id="sdk-s1").data()
    assert (done.algo_status, done.actual_qty) == ("FINISHED", "0.01")
    child = api.query_order(SYMBOL, order_id=int(done.actual_order_id)).data()
    assert (child.status, child.orig_type) == ("FILLED", "STOP_MARKET")
    assert api.position_information_v3(SYMBOL).data() == []
    assert api.position_information_v2(SYMBOL).data()[0].position_amt == "0"
    trades = api.account_trade_list(SYMBOL).data()
    assert [trade.order_id for trade in trades[-2:]] == [entry.order_id, child.order_id]


def test_cancelling(sdk: Any) -> None:
    api = sdk.rest_api
    stop = resting_stop(sdk)
    cancelled = api.cancel_algo_order(algo_id=stop.algo_id).data()
    assert (cancelled.code, cancelled.msg) == ("200", "success")
    with pytest.raises(BadRequestError, match="Unknown order"):
        api.cancel_algo_order(algo_id=stop.algo_id)
    resting_stop(sdk)
    assert api.cancel_all_algo_open_orders(SYMBOL).data().code == 200
    assert api.current_all_algo_open_orders().data() == []
    assert api.query_all_algo_orders(SYMBOL).data()[-1].algo_status == "CANCELED"
    assert api.cancel_all_open_orders(SYMBOL).data().code == 200


def test_the_account(sdk: Any) -> None:
    api = sdk.rest_api
    config = api.futures_account_configuration().data()
    assert (config.can_trade, config.dual_side_position, config.multi_assets_margin) == (True, False, False)
    assert api.change_initial_leverage(SYMBOL, 10).data().leverage == 10
    (symbol,) = api.symbol_configuration(SYMBOL).data()
    assert (symbol.margin_type, symbol.leverage) == ("CROSSED", 10)
    for account in (api.account_information_v2().data(), api.account_information_v3().data()):
        assert Decimal(account.total_wallet_balance) > 0
        assert account.assets[0].asset == "USDT"
    for balance in (api.futures_account_balance_v2().data(), api.futures_account_balance_v3().data()):
        assert balance[0].asset == "USDT"
    assert api.get_current_position_mode().data().dual_side_position is False
    assert api.get_current_multi_assets_mode().data().multi_assets_margin is False
    assert api.get_bnb_burn_status().data().fee_burn is False
    assert api.user_commission_rate(SYMBOL).data().taker_commission_rate == "0.0005"
    assert len(api.query_user_rate_limit().data()) == 2
    assert api.futures_trading_quantitative_rules_indicators().data().update_time > 0
    assert api.auto_cancel_all_open_orders(SYMBOL, 0).data().countdown_time == "0"
    (brackets,) = api.notional_and_leverage_brackets(SYMBOL).data().actual_instance
    assert brackets.brackets[0].initial_leverage == 125
    assert isinstance(api.get_income_history().data(), list)
    assert isinstance(api.users_force_orders().data(), list)
    assert api.position_adl_quantile_estimation().data() == []
    with pytest.raises(BadRequestError, match="No need to change margin type"):
        api.change_margin_type(SYMBOL, rest.ChangeMarginTypeMarginTypeEnum.CROSSED)


def test_hedge_mode(program: Program, sdk: Any) -> None:
    api = sdk.rest_api
    assert api.change_position_mode("true").data().msg == "success"
    api.new_order(SYMBOL, BUY, "MARKET", position_side="LONG", quantity=0.01)
    api.new_order(SYMBOL, SELL, "MARKET", position_side="SHORT", quantity=0.02)
    amounts = {row.position_side: row.position_amt for row in api.position_information_v3(SYMBOL).data()}
    assert amounts == {"LONG": "0.01", "SHORT": "-0.02"}
    stop = resting_stop(sdk, position_side="LONG", reduce_only=None)
    assert stop.position_side == "LONG"
    program.control("price", symbol=SYMBOL, mark="62900")
    assert [row.position_side for row in api.position_information_v3(SYMBOL).data()] == ["SHORT"]


def test_errors_are_the_sdks_own(program: Program, sdk: Any) -> None:
    with pytest.raises(BadRequestError, match="Order would immediately trigger"):
        resting_stop(sdk, trigger_price=65000.0)
    with pytest.raises(BadRequestError, match="Signature"):
        client(program, "wrong").rest_api.account_information_v3()
    program.control("reject", code=-2015, path="account", method="GET")
    with pytest.raises(UnauthorizedError, match="Invalid API-key"):
        sdk.rest_api.account_information_v3()


def _first_into(future: asyncio.Future[Any]) -> Callable[[Any], None]:
    def take(frame: Any) -> None:
        if not future.done():
            future.set_result(frame)

    return take


def test_streams(program: Program, sdk: Any) -> None:
    """Private and public streams, every frame through the SDK's models."""
    heard: list[Any] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        finished, marked, quoted = loop.create_future(), loop.create_future(), loop.create_future()

        def on_user(event: Any) -> None:
            heard.append(event.actual_instance)
            if getattr(getattr(heard[-1], "o", None), "X", None) == "FINISHED":
                finished.set_result(None)

        await sdk.websocket_streams.create_connection()
        try:
            key = (await asyncio.to_thread(sdk.rest_api.start_user_data_stream)).data().listen_key
            (await sdk.websocket_streams.user_data(key)).on("message", on_user)
            # Its own enumeration of speeds, the SDK writes into the name of the stream by its Python name.
            marks = await sdk.websocket_streams.mark_price_stream(SYMBOL)
            marks.on("message", _first_into(marked))
            quotes = await sdk.websocket_streams.individual_symbol_book_ticker_streams(SYMBOL)
            quotes.on("message", _first_into(quoted))
            await asyncio.to_thread(program.control, "price", symbol=SYMBOL, mark="64000")
            mark, quote = await asyncio.wait_for(asyncio.gather(marked, quoted), 5)
            assert (mark.s, mark.p, quote.s) == (SYMBOL, "64000", SYMBOL)
            await asyncio.to_thread(sdk.rest_api.new_order, SYMBOL, BUY, "MARKET", quantity=0.01)
            await asyncio.to_thread(resting_stop, sdk)
            await asyncio.to_thread(program.control, "price", symbol=SYMBOL, mark="62900")
            await asyncio.wait_for(finished, 20)
        finally:
            await sdk.websocket_streams.close_connection()

    asyncio.run(run())
    kinds = [type(event).__name__ for event in heard]
    assert kinds == [
        "OrderTradeUpdate",
        "AccountUpdate",
        "TradeLite",
        "OrderTradeUpdate",
        "AlgoUpdate",
        "AlgoUpdate",
        "OrderTradeUpdate",
        "AlgoUpdate",
        "AccountUpdate",
        "TradeLite",
        "OrderTradeUpdate",
        "AlgoUpdate",
    ]
    assert heard[1].a.P[0].pa == "0.01"
    assert [heard[at].o.X for at in (4, 5, 7, 11)] == ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]
