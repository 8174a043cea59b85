"""Histories of any kind: money is neither made nor lost, a replay makes the same book, a torn log still loads."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.paper_exchange import timeline
from adapters.paper_exchange.book import Book
from adapters.paper_exchange.codec import from_record, to_record
from adapters.paper_exchange.orders import Insurance
from adapters.paper_exchange.refusals import Refused
from adapters.paper_exchange.timeline import Timeline, read_timeline
from tests.unit.paper_exchange.desk import Desk, fills

Act = Callable[[Desk], object]


def _market(side: str, thousandths: int, reduce: bool) -> Act:
    return lambda desk: desk.market(side, str(Decimal(thousandths) / 1000), reduce=reduce)


def _stop(side: str, trigger: int, thousandths: int, profit: bool) -> Act:
    quantity = str(Decimal(thousandths) / 1000) if thousandths else None
    return lambda desk: desk.stop(side, f"{trigger}.0", quantity, profit=profit)


def _protect(distance: int, share: int, profit: bool) -> Act:
    """A conditional that really rests: on the closing side, `distance` USDT away, for a share (percent) or all."""

    def place(desk: Desk) -> object:
        held = desk.quantity()
        away = -distance if (held > 0) != profit else distance
        quantity = (abs(held) * share / 100).quantize(Decimal("0.001"))
        trigger = (desk.book.prices["BTCUSDT"].mark + away).quantize(Decimal(1))
        return desk.stop("SELL" if held > 0 else "BUY", f"{trigger}.0", str(quantity) if share else None, profit=profit)

    return place


def _price(mark: int) -> Act:
    return lambda desk: desk.price(f"{mark}.0")


def _work(desk: Desk) -> object:
    return desk.took(desk.engine.work(desk.now))


def _cancel(desk: Desk) -> object:
    resting = next(iter(desk.book.open_algos), 0)
    return desk.took(desk.engine.cancel_conditional(desk.now, resting))


_SIDES = st.sampled_from(["BUY", "SELL"])
_MARKS = st.integers(54_000, 66_000)
_ACTS = st.one_of(
    st.builds(_market, _SIDES, st.integers(1, 3_000), st.booleans()),
    st.builds(_stop, _SIDES, _MARKS, st.integers(0, 500), st.booleans()),
    st.builds(_protect, st.integers(10, 3_000), st.sampled_from([0, 30, 100, 150]), st.booleans()),
    st.builds(_price, _MARKS),
    st.just(_work),
    st.just(_cancel),
)
_HISTORIES = st.integers(1, 40).flatmap(lambda length: st.lists(_ACTS, min_size=length, max_size=length))


def played(history: list[Act], seed: int = 1) -> Desk:
    desk = Desk(partial_fills=40, seed=seed)
    for act in history:
        try:
            act(desk)
        except Refused:
            continue
    return desk


@given(_HISTORIES, st.integers(0, 5))
@settings(max_examples=120, deadline=None)
def test_the_wallet_is_the_exact_sum_of_what_was_reported(history: list[Act], seed: int) -> None:
    desk = played(history, seed)
    expected = Decimal(10_000)
    expected += sum((fill.realized_pnl - fill.fee for fill in fills(desk.events)), Decimal(0))
    expected += sum((event.amount for event in desk.events if isinstance(event, Insurance)), Decimal(0))
    assert desk.book.wallet == expected


@given(_HISTORIES, st.integers(0, 5))
@settings(max_examples=120, deadline=None)
def test_positions_are_the_sum_of_the_fills_and_orders_of_theirs(history: list[Act], seed: int) -> None:
    desk = played(history, seed)
    net = sum((fill.side.sign * fill.quantity for fill in fills(desk.events)), Decimal(0))
    assert desk.quantity() == net
    for order in desk.book.orders.values():
        of_order = [fill for fill in desk.book.fills if fill.order_id == order.order_id]
        assert sum((fill.quantity for fill in of_order), Decimal(0)) == order.executed_qty <= order.quantity
    if not desk.quantity():
        assert not [algo for algo in desk.book.open_algos.values() if algo.close_position]


@given(_HISTORIES)
@settings(max_examples=60, deadline=None)
def test_a_replay_of_the_records_makes_the_same_book(history: list[Act]) -> None:
    desk = played(history)
    again = Book()
    for event in desk.events:
        read = from_record(json.loads(json.dumps(to_record(event))))
        assert read == event
        again.apply(read)
    assert [to_record(event) for event in again.events()] == desk.records()
    assert (again.open_orders, again.open_algos) == (desk.book.open_orders, desk.book.open_algos)


@given(_HISTORIES, st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_log_cut_at_any_byte_loads_whole_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, history: list[Act], data: st.DataObject
) -> None:
    # Small blocks: the search for the last snapshot meets every kind of boundary.
    monkeypatch.setattr(timeline, "_BLOCK", data.draw(st.integers(16, 400)))
    state = tmp_path / "state"
    (state / "timeline.jsonl").unlink(missing_ok=True)
    desk = Desk(partial_fills=40)
    log = Timeline(state)
    steps: list[list[dict[str, object]]] = [[to_record(event) for event in desk.events]]
    for act in history:
        seen = len(desk.events)
        try:
            act(desk)
        except Refused:
            continue
        steps.append([to_record(event) for event in desk.events[seen:]])
    for number, step in enumerate(steps):
        log.append(number, step)
        if number == len(steps) // 2:
            log.snapshot(number, [record for earlier in steps[: number + 1] for record in earlier])
    log.close()
    whole = (state / "timeline.jsonl").read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    (state / "timeline.jsonl").write_bytes(whole[:cut])

    reopened = Timeline(state)
    loaded = reopened.load()
    found = [record for line in loaded for record in (line["states"] if line["kind"] == "snapshot" else [line])]
    found = [{name: value for name, value in record.items() if name not in ("seq", "t", "more")} for record in found]
    reopened.append(99, [{"kind": "session", "event": "start", "pid": 1}])
    reopened.close()

    flat = [record for step in steps for record in step]
    boundaries = {sum(len(step) for step in steps[:count]) for count in range(len(steps) + 1)}
    assert found == flat[: len(found)]
    assert len(found) in boundaries
    # Nothing that was whole is lost: all but the steps that the cut hit are there.
    written = [json.loads(line) for line in whole[:cut].split(b"\n")[:-1]]
    ended = [line["seq"] for line in written if not line.get("more")]
    assert (loaded[-1]["seq"] if loaded else 0) == (ended[-1] if ended else 0)
    sequence = [record["seq"] for record in read_timeline(state / "timeline.jsonl")]
    assert sequence == list(range(1, len(sequence) + 1))
