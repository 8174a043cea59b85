"""The synthetic market, tapes and candles."""

import json
import zipfile
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from adapters.paper_exchange.candles import KEPT_MINUTES, MINUTE, Bar, CandleHistory
from adapters.paper_exchange.contracts import contract_from_price, listed_contracts
from adapters.paper_exchange.market import SyntheticMarket
from adapters.paper_exchange.orders import Price
from adapters.paper_exchange.tape import BarOrder, TapeError, TapeMarket, read_tape, symbol_of

MINUTES_STEPS = 240


def walk(symbol: str, steps: int, *, seed: int = 7, volatility: str = "0.75") -> list[Price]:
    market = SyntheticMarket(contract=listed_contracts()[symbol], seed=seed, volatility=Decimal(volatility))
    prices = [market.first(0)]
    for step in range(steps):
        following = market.following(prices[-1], step)
        assert following is not None
        prices.append(following)
    return prices


def test_the_same_seed_makes_the_same_walk_and_another_another() -> None:
    assert walk("BTCUSDT", 200) == walk("BTCUSDT", 200)
    assert walk("BTCUSDT", 200)[-1].mark != walk("BTCUSDT", 200, seed=8)[-1].mark


def test_a_walk_goes_on_from_any_price_as_if_nothing_had_been() -> None:
    whole = walk("ETHUSDT", 300)
    market = SyntheticMarket(contract=listed_contracts()["ETHUSDT"], seed=7, volatility=Decimal("0.75"))
    assert market.following(whole[150], 150) == whole[151]


@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOGEUSDT", "1000PEPEUSDT", "DOTUSDT"])
def test_the_market_is_lively_and_on_the_tick(symbol: str) -> None:
    prices = walk(symbol, 20 * MINUTES_STEPS)
    tick = listed_contracts()[symbol].tick
    assert all(not value % tick for price in prices for value in (price.mark, price.last, price.index))
    ends = [price.mark for price in prices[::MINUTES_STEPS]]
    moves = sorted(abs(b / a - 1) for a, b in pairwise(ends))
    assert Decimal("0.003") < moves[len(moves) // 2] < Decimal("0.015")
    spans = [[price.mark for price in prices[at : at + 5 * MINUTES_STEPS]] for at in range(0, 4800, 1200)]
    assert sum(max(span) / min(span) > Decimal("1.015") for span in spans) >= 3


def test_no_volatility_stands_still() -> None:
    market = SyntheticMarket(contract=listed_contracts()["BTCUSDT"], seed=1, volatility=Decimal(0))
    assert market.following(market.first(0), 1) is None


def test_the_made_up_past_ends_at_the_first_price() -> None:
    market = SyntheticMarket(contract=listed_contracts()["BTCUSDT"], seed=1, volatility=Decimal("0.75"))
    first = market.first(1_000 * MINUTE + 5)
    history = market.history(first, 100)
    assert [candle.open_time for candle in history] == [(900 + minute) * MINUTE for minute in range(100)]
    assert history[-1].mark.close == first.mark
    assert all(a.mark.close == b.mark.open for a, b in pairwise(history))
    assert all(c.mark.low <= min(c.mark.open, c.mark.close) for c in history)


BARS = [
    Bar(open=Decimal(10), high=Decimal(13), low=Decimal(9), close=Decimal(11)),
    Bar(open=Decimal(11), high=Decimal(12), low=Decimal(8), close=Decimal(10)),
]


def marks(bars: Sequence[Bar], count: int, *, order: BarOrder = BarOrder.LOW_FIRST, loop: bool = False) -> list[int]:
    tape = TapeMarket(
        contract=contract_from_price("XUSDT", Decimal(10)), bars=bars, speed=Decimal(1), bar_order=order, loop=loop
    )
    price: Price | None = tape.first(0)
    played: list[int] = []
    while price is not None and len(played) < count:
        played.append(int(price.mark))
        price = tape.following(price, 0)
    return played


def test_a_tape_plays_each_bar_in_the_order_asked_for_and_ends() -> None:
    assert marks(BARS, 99) == [10, 9, 13, 11, 11, 8, 12, 10]
    assert marks(BARS, 99, order=BarOrder.HIGH_FIRST) == [10, 13, 9, 11, 11, 12, 8, 10]
    assert marks(BARS, 99, order=BarOrder.BOTH) == [10, 9, 13, 11, 11, 12, 8, 10]


def test_a_loop_goes_there_and_back_without_a_jump() -> None:
    forth = [10, 9, 13, 11, 11, 8, 12, 10]
    assert marks(BARS, 24, loop=True) == forth + forth[::-1] + forth


def test_tape_formats(tmp_path: Path) -> None:
    rows = [[1, 10, 13, 9, 11, 5], [2, 11, 12, 8, 10, 5]]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "b.csv").write_text(
        "timestamp,open,high,low,close,volume\n" + "\n".join(f"2021,{r[1]},{r[2]},{r[3]},{r[4]},1" for r in rows)
    )
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("c.csv", "\n".join(",".join(map(str, row)) for row in rows))
    for name in ("a.json", "b.csv", "c.zip"):
        assert read_tape(tmp_path / name) == BARS


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.json", "{}", "must be an array"),
        ("a.json", "[[1, 2", "no JSON"),
        ("a.json", "[]", "no bar"),
        ("a.json", '[[1, 10, 13, "NaN", 11]]', "bar 1"),
        ("a.csv", "time,open,high,low\n1,1,1,1\n", "lacks close"),
        ("a.zip", "nonsense", "zip"),
        ("a.gz", "x", "known are"),
    ],
)
def test_what_is_no_tape_is_refused_with_the_reason(tmp_path: Path, name: str, content: str, told: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(TapeError, match=told):
        read_tape(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "symbol"),
    [("binance-spot_BCHUSDT_1m_2021.json", "BCHUSDT"), ("bybit_btcusdt.zip", "BTCUSDT"), ("btc-perp_1m.csv", None)],
)
def test_the_symbol_in_a_file_name(name: str, symbol: str | None) -> None:
    assert symbol_of(Path(name)) == symbol


def point(time: int, mark: str) -> Price:
    value = Decimal(mark)
    return Price(symbol="XUSDT", mark=value, last=value, index=value, step=1, time=time)


def test_candles_are_built_from_points_and_silent_minutes_are_flat() -> None:
    history = CandleHistory()
    for time, mark in ((0, "10"), (30_000, "12"), (59_999, "9")):
        assert history.take_price(point(time, mark)) == []
    closed = history.take_price(point(3 * MINUTE + 1, "11"))
    assert [candle.open_time for candle in closed] == [0, MINUTE, 2 * MINUTE]
    assert closed[0].mark == Bar(open=Decimal(10), high=Decimal(12), low=Decimal(9), close=Decimal(9))
    assert closed[1].mark == Bar.at(Decimal(9))
    (five,) = history.candles("XUSDT", 5 * MINUTE)
    assert five.mark == Bar(open=Decimal(10), high=Decimal(12), low=Decimal(9), close=Decimal(11))
    assert five.points == 4


def test_a_clock_set_back_does_not_make_an_older_candle() -> None:
    history = CandleHistory()
    history.take_price(point(5 * MINUTE, "10"))
    history.take_price(point(2 * MINUTE, "8"))
    (candle,) = history.minutes("XUSDT")
    assert (candle.open_time, candle.mark.low) == (5 * MINUTE, Decimal(8))


def test_a_long_pause_fills_no_more_than_is_kept() -> None:
    history = CandleHistory()
    history.take_price(point(0, "10"))
    assert len(history.take_price(point(100_000 * MINUTE, "10"))) == KEPT_MINUTES + 1
    assert len(history.minutes("XUSDT")) == KEPT_MINUTES
