"""The band index against a naive model that remembers every price for every key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.market import bands
from domain.market.bands import BandIndex
from domain.position.inputs import PriceRange

START = datetime(2026, 3, 1, tzinfo=UTC)
D = Decimal


class Naive:
    """The same rules, one list of unheard prices a key."""

    def __init__(self) -> None:
        self.homes: dict[int, str] = {}
        self.unheard: dict[int, list[Decimal]] = {}
        self.waiting: dict[int, tuple[Decimal | None, Decimal | None]] = {}
        self.last: dict[str, tuple[Decimal, datetime]] = {}

    def register(self, key: int, symbol: str, low: Decimal | None, high: Decimal | None) -> PriceRange | None:
        if self.homes.get(key) != symbol:
            self.drop(key)
            self.homes[key] = symbol
            self.unheard[key] = [self.last[symbol][0]] if symbol in self.last else []
        self.waiting[key] = (low, high)
        if any(leaves(price, low, high) for price in self.unheard[key]):
            del self.waiting[key]
            return self.heartbeat(key)
        return None

    def price(self, symbol: str, price: Decimal, at: datetime) -> dict[int, PriceRange]:
        self.last[symbol] = (price, at)
        told: dict[int, PriceRange] = {}
        for key, home in self.homes.items():
            if home == symbol:
                self.unheard[key].append(price)
                if key in self.waiting and leaves(price, *self.waiting[key]):
                    del self.waiting[key]
                    prices = self.heartbeat(key)
                    assert prices is not None
                    told[key] = prices
        return told

    def heartbeat(self, key: int) -> PriceRange | None:
        prices = self.unheard.get(key)
        if not prices:
            return None
        last, at = self.last[self.homes[key]]
        self.unheard[key] = []
        return PriceRange(last=last, low=min(prices), high=max(prices), at=at)

    def drop(self, key: int) -> None:
        for memory in (self.homes, self.unheard, self.waiting):
            memory.pop(key, None)


def leaves(price: Decimal, low: Decimal | None, high: Decimal | None) -> bool:
    return (low is not None and price <= low) or (high is not None and price >= high)


PRICES = st.integers(1, 40).map(D)
BOUNDS = st.none() | PRICES
KEYS = st.integers(0, 5)
SYMBOLS = st.sampled_from(["BTCUSDT", "ETHUSDT"])
STEPS = st.one_of(
    st.tuples(st.just("price"), SYMBOLS, PRICES),
    st.tuples(st.just("price"), SYMBOLS, PRICES),
    st.tuples(st.just("register"), KEYS, SYMBOLS, BOUNDS, BOUNDS),
    st.tuples(st.just("heartbeat"), KEYS),
    st.tuples(st.just("drop"), KEYS),
)


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(STEPS, max_size=80), pruning=st.sampled_from([0, 3, 1024]))
def test_the_index_says_what_the_naive_model_says(steps: list[tuple[object, ...]], pruning: int) -> None:
    index: BandIndex[int] = BandIndex()
    model = Naive()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bands, "RECORDS_BEFORE_PRUNING", pruning)
        for number, (what, *arguments) in enumerate(steps):
            if what == "price":
                symbol, price = arguments
                at = START + timedelta(seconds=number)
                said = index.price(symbol, price, at)  # type: ignore[arg-type]
                assert len(said) == len(dict(said))
                assert dict(said) == model.price(symbol, price, at)  # type: ignore[arg-type]
            else:
                assert getattr(index, str(what))(*arguments) == getattr(model, str(what))(*arguments)
            assert len(index) == len(model.homes)


def test_a_key_told_hears_the_rest_when_it_registers_again() -> None:
    index: BandIndex[str] = BandIndex()
    assert index.register("a", "BTCUSDT", D(90), D(110)) is None
    assert index.price("BTCUSDT", D(100), START) == []
    assert index.price("BTCUSDT", D(90), START) == [("a", PriceRange(last=D(90), low=D(90), high=D(100), at=START))]
    assert index.price("BTCUSDT", D(80), START) == []
    assert index.price("BTCUSDT", D(101), START) == []
    assert index.register("a", "BTCUSDT", D(85), D(110)) == PriceRange(last=D(101), low=D(80), high=D(101), at=START)
    assert index.price("BTCUSDT", D(50), START) == []
    assert index.register("a", "BTCUSDT", D(40), None) is None
    assert index.heartbeat("a") == PriceRange(last=D(50), low=D(50), high=D(50), at=START)
    assert index.heartbeat("a") is None


def test_a_new_key_is_compared_with_the_last_price_and_nothing_older() -> None:
    index: BandIndex[str] = BandIndex()
    index.price("BTCUSDT", D(10), START)
    index.price("BTCUSDT", D(100), START)
    assert index.register("inside", "BTCUSDT", D(50), D(110)) is None
    assert index.register("outside", "BTCUSDT", D(100), None) == PriceRange(
        last=D(100), low=D(100), high=D(100), at=START
    )


def test_the_nearest_bound_is_told_first() -> None:
    index: BandIndex[str] = BandIndex()
    for name, low in (("far", 80), ("near", 95), ("next", 90)):
        index.register(name, "BTCUSDT", D(low), None)
    assert index.crossed("BTCUSDT", D(85)) == ["near", "next"]
    assert [key for key, _ in index.price("BTCUSDT", D(70), START)] == ["near", "next", "far"]


def test_an_endless_rise_without_heartbeats_does_not_grow_the_memory() -> None:
    index: BandIndex[int] = BandIndex()
    index.register(1, "BTCUSDT", None, None)
    for price in range(1, 6_000):
        index.price("BTCUSDT", D(price), START)
    assert len(index._symbols["BTCUSDT"].falls[0]) <= bands.RECORDS_BEFORE_PRUNING + 2
    assert index.heartbeat(1) == PriceRange(last=D(5_999), low=D(1), high=D(5_999), at=START)


@pytest.mark.parametrize("price", ["NaN", "Infinity", "0", "-1"])
def test_a_senseless_price_is_refused_by_name_and_value(price: str) -> None:
    with pytest.raises(ValueError, match=f"BTCUSDT={price}"):
        BandIndex[int]().price("BTCUSDT", D(price), START)


def test_a_senseless_bound_is_refused_by_name_and_value() -> None:
    with pytest.raises(ValueError, match="high=NaN"):
        BandIndex[int]().register(1, "BTCUSDT", D(1), D("NaN"))


@pytest.mark.parametrize(("bound", "name"), [((D("NaN"), None), "low=NaN"), ((None, D("-Infinity")), "high=-Infinity")])
def test_each_bound_is_named_when_it_is_refused(bound: tuple[Decimal | None, Decimal | None], name: str) -> None:
    with pytest.raises(ValueError, match=f"band of 'a': {name}: must be a finite number"):
        BandIndex[str]().register("a", "BTCUSDT", *bound)


def test_a_bound_is_left_when_it_is_met() -> None:
    index: BandIndex[str] = BandIndex()
    index.register("high", "BTCUSDT", None, D(110))
    index.register("low", "ETHUSDT", D(90), None)
    assert [key for key, _ in index.price("BTCUSDT", D(110), START)] == ["high"]
    assert [key for key, _ in index.price("ETHUSDT", D(90), START)] == ["low"]
    assert index.register("new", "BTCUSDT", None, D(110)) == PriceRange(last=D(110), low=D(110), high=D(110), at=START)


def test_a_key_that_moves_to_another_symbol_leaves_the_first() -> None:
    index: BandIndex[str] = BandIndex()
    index.register("a", "BTCUSDT", D(90), None)
    index.register("b", "BTCUSDT", D(90), None)
    index.register("a", "ETHUSDT", D(5), None)
    assert len(index) == 2
    assert [key for key, _ in index.price("BTCUSDT", D(80), START)] == ["b"]
    assert [key for key, _ in index.price("ETHUSDT", D(4), START)] == ["a"]
    assert index.heartbeat("a") is None


def test_nobody_waits_on_a_symbol_never_heard_of() -> None:
    assert BandIndex[str]().crossed("BTCUSDT", D(1)) == []


def test_a_frozen_price_takes_no_memory() -> None:
    index: BandIndex[int] = BandIndex()
    index.register(1, "BTCUSDT", None, None)
    for _ in range(500):
        index.price("BTCUSDT", D(100), START)
    kept = index._symbols["BTCUSDT"]
    assert (len(kept.falls[1]), len(kept.rises[1])) == (1, 1)


def test_an_endless_fall_does_not_grow_the_memory_either() -> None:
    index: BandIndex[int] = BandIndex()
    index.register(1, "BTCUSDT", None, None)
    for price in range(6_000, 1, -1):
        index.price("BTCUSDT", D(price), START)
    assert len(index._symbols["BTCUSDT"].rises[0]) <= bands.RECORDS_BEFORE_PRUNING + 2
    assert index.heartbeat(1) == PriceRange(last=D(2), low=D(2), high=D(6_000), at=START)


@pytest.mark.parametrize("step", [1, -1])
def test_at_most_two_records_a_key_are_kept_beyond_the_allowance(step: int) -> None:
    index: BandIndex[int] = BandIndex()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bands, "RECORDS_BEFORE_PRUNING", 10)
        for n in range(200):
            if n % 2 == 0 and n < 20:
                index.register(n, "BTCUSDT", None, None)
            index.price("BTCUSDT", D(1_000 + n * step), START)
            kept = index._symbols["BTCUSDT"]
            assert max(len(kept.falls[0]), len(kept.rises[0])) <= 10 + 2 * len(index)


def test_a_range_says_since_when() -> None:
    index: BandIndex[int] = BandIndex()
    index.register(1, "BTCUSDT", None, None)
    for second, price in enumerate((100, 101, 102)):
        index.price("BTCUSDT", D(price), START + timedelta(seconds=second))
    index.register(2, "BTCUSDT", None, None)
    index.price("BTCUSDT", D(103), START + timedelta(seconds=3))
    since = {key: found.since for key in (1, 2) if (found := index.heartbeat(key)) is not None}
    assert since == {1: START, 2: START + timedelta(seconds=2)}
    index.price("BTCUSDT", D(104), START + timedelta(seconds=4))
    again = index.heartbeat(1)
    assert again is not None
    assert again.since == START + timedelta(seconds=3)  # nothing in it is older than what was heard last
