"""Mailboxes: lanes, conflation, closing."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.inbox import Backlog, Inbox, InboxClosedError
from tests.unit.actors.specimens import WAIT_S, Alarm, Note, Price, Snapshot


@dataclass
class Letter:
    message: Any
    reply_to: Any = None


class Stop:
    """The message that ends an actor."""


def box() -> Inbox:
    return Inbox(stop_type=Stop)


def read_all(inbox: Inbox) -> list[Any]:
    return [inbox.get().message for _ in range(inbox.depth())]


def price(symbol: str, value: int) -> Price:
    return Price(symbol=symbol, last=value, low=value, high=value)


def test_urgent_and_stop_overtake_in_their_order() -> None:
    inbox, stop = box(), Stop()
    messages = [Note(text="1"), Alarm(text="a"), Note(text="2"), stop, Alarm(text="b")]
    for message in messages:
        inbox.put(Letter(message))
    assert read_all(inbox) == [Alarm(text="a"), stop, Alarm(text="b"), Note(text="1"), Note(text="2")]
    assert inbox.empty()


def test_range_of_prices_survives_conflation() -> None:
    inbox = box()
    for message in (price("BTC", 100), Note(text="cmd"), price("ETH", 5), price("BTC", 103), price("BTC", 99)):
        inbox.put(Letter(message))
    assert inbox.depth() == 3
    assert read_all(inbox) == [Price(symbol="BTC", last=99, low=99, high=103), Note(text="cmd"), price("ETH", 5)]
    inbox.put(Letter(price("BTC", 7)))
    assert read_all(inbox) == [price("BTC", 7)]


def test_asks_are_not_conflated() -> None:
    inbox = box()
    inbox.put(Letter(Snapshot(number=1)))
    inbox.put(Letter(Snapshot(number=2), reply_to="somebody"))
    inbox.put(Letter(Snapshot(number=3)))
    assert read_all(inbox) == [Snapshot(number=3), Snapshot(number=2)]


@given(st.lists(st.sampled_from(["note", "alarm", "BTC", "ETH", "read"]), max_size=60))
def test_nothing_is_lost_and_order_is_kept(steps: list[str]) -> None:
    inbox = box()
    sent: dict[str, list[int]] = {"note": [], "alarm": [], "BTC": [], "ETH": []}
    got: list[Any] = []
    for number, step in enumerate(steps):
        if step == "read":
            if not inbox.empty():
                got.append(inbox.get().message)
            continue
        sent[step].append(number)
        message = {"note": Note(text=str(number)), "alarm": Alarm(text=str(number))}.get(step) or price(step, number)
        inbox.put(Letter(message))
    got += read_all(inbox)
    assert [int(m.text) for m in got if isinstance(m, Note)] == sent["note"]
    assert [int(m.text) for m in got if isinstance(m, Alarm)] == sent["alarm"]
    for symbol in ("BTC", "ETH"):
        prices = [m for m in got if isinstance(m, Price) and m.symbol == symbol]
        if sent[symbol]:
            assert prices[-1].last == sent[symbol][-1]
            assert min(p.low for p in prices) == sent[symbol][0]
            assert [p.low for p in prices] == sorted(p.low for p in prices)


def test_closing_takes_what_is_left_and_wakes_the_reader() -> None:
    inbox = box()
    inbox.put(Letter(Note(text="1")))
    inbox.put(Letter(Alarm(text="a")))
    assert [letter.message for letter in inbox.close()] == [Alarm(text="a"), Note(text="1")]
    with pytest.raises(InboxClosedError):
        for _ in range(10):
            inbox.get()


def test_nothing_slips_between_closing_and_putting() -> None:
    for _ in range(20):
        inbox, late = box(), list[Any]()
        inbox.late = late.append
        begin = threading.Barrier(3)

        def put(first: int, inbox: Inbox = inbox, begin: threading.Barrier = begin) -> None:
            begin.wait(WAIT_S)
            for number in range(first, first + 200):
                inbox.put(Letter(number))

        writers = [threading.Thread(target=put, args=(first,)) for first in (0, 200)]
        for writer in writers:
            writer.start()
        begin.wait(WAIT_S)
        left = inbox.close()
        for writer in writers:
            writer.join(WAIT_S)
        assert sorted(letter.message for letter in [*left, *late]) == list(range(400))


def test_backlog_keeps_order_conflates_and_is_bounded() -> None:
    backlog = Backlog(3)
    assert [backlog.add(m) for m in (price("BTC", 5), Note(text="1"), price("BTC", 9), Note(text="2"))] == [True] * 4
    assert backlog.add(Note(text="3")) is False
    assert backlog.put_before([price("BTC", 1)]) == []
    assert backlog.take() == [Price(symbol="BTC", last=9, low=1, high=9), Note(text="1"), Note(text="2")]
    assert len(backlog) == 0
    assert backlog.put_before([Note(text=str(n)) for n in range(5)]) == [Note(text="3"), Note(text="4")]
