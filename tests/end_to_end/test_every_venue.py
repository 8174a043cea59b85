"""The whole path on each dialect and in hedge mode: entry, stop, move, stop-out, doubt, a human's hand, kill -9.

One service a venue for all of them; each test keeps to a symbol of its own, and afterwards the oracle finds no law
broken and the database agrees with the exchange to the last decimal.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

import pytest

from adapters.admin.protocol import AdminError
from tests.end_to_end.conftest import judge
from tests.end_to_end.service import ServiceProcess, running

pytestmark = pytest.mark.chaos


class Venue(NamedTuple):
    """A dialect and a position mode."""

    exchange: str
    hedged: bool

    @property
    def attaches(self) -> bool:
        """Whether an entry takes its stop along."""
        return self.exchange == "bybit"

    def __str__(self) -> str:
        return f"{self.exchange}{'-hedge' if self.hedged else ''}"


VENUES = (Venue("binanceusdm", True), Venue("bybit", False), Venue("bybit", True))


@pytest.fixture(scope="module", params=VENUES, ids=str)
def venue(request: pytest.FixtureRequest) -> Venue:
    """Where this run of the tests takes place."""
    found: Venue = request.param
    return found


@pytest.fixture(scope="module")
def service_there(venue: Venue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service on that venue."""
    account = {"exchange": venue.exchange, "hedge_mode": venue.hedged}
    with running(tmp_path_factory.mktemp(str(venue)), {"accounts.main": account}) as service:
        yield service


@pytest.fixture
def there(service_there: ServiceProcess) -> Iterator[ServiceProcess]:
    """`service_there`, judged when the test is over."""
    yield service_there
    judge(service_there)


def path_of_moves(venue: Venue) -> str:
    """What a move goes through at this venue."""
    return "trading-stop" if venue.attaches else "algoOrder"


def path_of_entries(venue: Venue) -> str:
    """What an entry goes through at this venue."""
    return "/v5/order/create" if venue.attaches else "/fapi/v1/order"


@pytest.mark.parametrize("side", ["long", "short"])
def test_enters_trails_and_stops_out(there: ServiceProcess, venue: Venue, side: str) -> None:
    symbol, favour = ("ETHUSDT", 1) if side == "long" else ("SOLUSDT", -1)
    opened = there.open(symbol, side)
    if venue.attaches:
        assert Decimal(opened["unprotected_seconds"]) == 0
    top = there.move_mark(symbol, str(2.5 * favour), steps=5, pause_s=0.3)
    there.wait_trailed(opened["id"], top)
    there.move_mark(symbol, str(-1.5 * favour))
    there.wait_state(opened["id"], "CLOSED")
    life = next(life for life in there.verdict().lives if life.owner == opened["id"])
    assert life.ended_by == "stop"
    assert life.moves >= 1
    if venue.attaches:
        assert life.first_cover_at == life.first_entry_at, "protected with its first fill"


def test_a_lost_reply_to_an_entry_opens_one_position(there: ServiceProcess, venue: Venue) -> None:
    there.control("drop_reply", next=1, path=path_of_entries(venue), symbol="ADAUSDT")
    there.wait_price("ADAUSDT")
    opened = there.ctl("position.open", account="main", symbol="ADAUSDT", side="long", usd="500")
    there.wait_state(opened["id"], "ACTIVE")
    there.ctl("position.close", id=opened["id"])
    there.wait_state(opened["id"], "CLOSED")


def test_a_lost_reply_to_a_move_leaves_one_stop_in_the_better_place(there: ServiceProcess, venue: Venue) -> None:
    opened = there.open("BNBUSDT")
    there.control("drop_reply", next=1, path=path_of_moves(venue), symbol="BNBUSDT")
    there.move_mark("BNBUSDT", "2")
    there.wait_position(
        opened["id"],
        lambda p: Decimal(p["stop_price"]) > Decimal(p["entry_price"]),
        15,
        "a stop in profit",
    )
    there.ctl("position.close", id=opened["id"])
    there.wait_state(opened["id"], "CLOSED")


def test_a_stop_that_a_human_takes_away_is_set_again(there: ServiceProcess, venue: Venue) -> None:
    opened = there.open("LTCUSDT")
    before = opened["stop_price"]
    side = {"position_side": "LONG"} if venue.hedged else {}
    if venue.attaches:
        there.control("position_stop", symbol="LTCUSDT", stop_loss="0", **side)
    else:
        there.control("cancel_all", symbol="LTCUSDT")
    lost = there.wait_event("stop_loss_lost", position=opened["id"], limit_s=20)
    assert lost["severity"] == "warning"
    again = there.wait_event("stop_loss_recovered", position=opened["id"], limit_s=20)
    assert Decimal(again["data"]["stop_price"]) == Decimal(before)
    there.ctl("position.close", id=opened["id"])
    there.wait_state(opened["id"], "CLOSED")


def test_both_sides_of_a_symbol_live_apart_in_hedge_mode_and_only_there(there: ServiceProcess, venue: Venue) -> None:
    long = there.open("XRPUSDT", "long")
    if not venue.hedged:
        with pytest.raises(AdminError, match="opposite_position"):
            there.open("XRPUSDT", "short")
        there.ctl("position.close", id=long["id"])
        there.wait_state(long["id"], "CLOSED")
        return
    short = there.open("XRPUSDT", "short")
    there.move_mark("XRPUSDT", "2.2", steps=4, pause_s=0.3)
    there.wait_state(short["id"], "CLOSED")
    assert there.position(long["id"])["state"] == "ACTIVE"
    there.ctl("position.close", id=long["id"])
    there.wait_state(long["id"], "CLOSED")


def test_kill_9_and_restart_go_on_where_it_was(there: ServiceProcess, venue: Venue) -> None:
    opened = there.open("AVAXUSDT")
    there.move_mark("AVAXUSDT", "2", steps=2, pause_s=0.5)
    there.wait_position(
        opened["id"], lambda p: Decimal(p["stop_price"]) > Decimal(p["entry_price"]), 20, "a stop in profit"
    )
    stop = Decimal(there.position(opened["id"])["stop_price"])
    there.kill9()
    there.restart()
    there.wait_event("position_recovered", position=opened["id"])
    assert Decimal(there.position(opened["id"])["stop_price"]) >= stop
    there.move_mark("AVAXUSDT", "1.5", steps=2, pause_s=0.5)
    there.wait_position(opened["id"], lambda p: Decimal(p["stop_price"]) > stop, 20, "a better stop")
    there.move_mark("AVAXUSDT", "-2")
    there.wait_state(opened["id"], "CLOSED")
