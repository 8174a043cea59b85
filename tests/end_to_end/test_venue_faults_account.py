"""The faults 5 to 8 of LAWS that befall a whole account: connections, streams, limits, maintenance, snapshots.

One service a venue; rows run one after another. While a fault lasts the position keeps its stop; when it is over the
stop moves again, and the end of it is told. After each row no law is broken and the books agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.end_to_end.conftest import judge
from tests.end_to_end.fault_stage import Act, Stage, Venue, Watch
from tests.end_to_end.service import ServiceProcess, running

pytestmark = pytest.mark.chaos

VENUES = tuple(Venue(exchange=name, hedged=hedged) for hedged in (False, True) for name in ("binanceusdm", "bybit"))
SYMBOLS = ("ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "ADAUSDT", "AVAXUSDT", "LINKUSDT", "LTCUSDT")
LASTS_MS = 3_000
LISTS = {
    "binanceusdm": ("/fapi/v2/positionRisk", "/fapi/v1/openOrders", "/fapi/v1/openAlgoOrders"),
    "bybit": ("/v5/position/list", "/v5/order/realtime"),
}

Story = Callable[[Stage], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A fault of an account: which of LAWS, and how it is played. `only`: one dialect has such a thing."""

    name: str
    law: int
    story: Story
    only: str = ""
    hedged: bool = False


def order_for_all(stage: Stage, command: str, **body: object) -> None:
    """A fault at whatever the account does."""
    stage.service.exchange("POST", f"/control/{command}", {"path": "*", "method": "*", **body})


def told(stage: Stage, type_: str, severity: str, since: int, limit_s: float = 20, **data: str) -> None:
    """The account's event, later than `since` (its number)."""

    def look() -> bool:
        return any(
            event["severity"] == severity and all(event["data"].get(name) == value for name, value in data.items())
            for event in stage.service.events(type=type_)[since:]
        )

    stage.service.wait_for(look, limit_s, f"{severity} {type_} {data}")


def so_far(stage: Stage, type_: str) -> int:
    """How many of these events there were."""
    return len(stage.service.events(type=type_))


def streams_break(break_them: Story) -> Story:
    """The streams are gone for a while, and the market moves: caught up with when they are back, and told."""

    def story(stage: Stage) -> None:
        stage.open()
        stage.protected()
        lost, back = so_far(stage, "stream_lost"), so_far(stage, "stream_connected")
        break_them(stage)
        stage.move("2")
        told(stage, "stream_lost", "warning", lost, stream="account")
        told(stage, "stream_connected", "info", back, stream="account")
        stage.in_profit()
        stage.protected()
        stage.no_event("stop_loss_lost", "rollback_started")

    return story


def streams_cut(stage: Stage) -> None:
    """Every stream breaks."""
    stage.service.control("cut_streams")


def streams_dead(stage: Stage) -> None:
    """Every stream breaks and none can be opened; requests work."""
    stage.service.exchange("POST", "/control/refuse_stream", {"for_ms": LASTS_MS})
    stage.service.control("cut_streams")


def refused(stage: Stage) -> None:
    """Everything breaks and no connection is taken: known again, and the stop moves, when it is over."""
    stage.open()
    stage.protected()
    lost, back = so_far(stage, "stream_lost"), so_far(stage, "stream_connected")
    stage.service.control("down", for_ms=LASTS_MS)
    told(stage, "stream_lost", "warning", lost, stream="account")
    told(stage, "stream_connected", "info", back, stream="account")
    stage.move("2")
    stage.in_profit()
    stage.protected()


def stopped_out_unheard(stage: Stage) -> None:
    """The stop fires while no stream lives: found to be closed, with its executions, when they are back.

    On Bybit the stop is found to be gone before the position is: a new one is refused, and the end may be a rollback.
    """
    stage.open()
    streams_dead(stage)
    stage.move("-2.3")
    stage.flat("CLOSED", "ROLLED_BACK")


def silent(stage: Stage) -> None:
    """The streams stay up and say nothing; the stop fires meanwhile."""
    stage.open()
    stage.service.control("stall_streams", for_ms=LASTS_MS)
    stage.move("-2.3")
    stage.flat("CLOSED", "ROLLED_BACK")


def listen_key_expired(stage: Stage) -> None:
    """The private stream's key ends: a new one is taken, and what happens on it is heard."""
    stage.open()
    back = so_far(stage, "stream_connected")
    stage.service.control("expire_listen_key")
    told(stage, "stream_connected", "info", back, stream="account")
    stage.lose_stop_by_hand()
    stage.event("stop_loss_lost", "warning")
    stage.event("stop_loss_recovered", "info")
    stage.protected()


def unreadable(stage: Stage) -> None:
    """A frame about the entry cannot be read: the stream is opened anew, and nothing is missed."""
    for act in (Act.ORDERS, Act.POSITIONS):
        stage.fault("garble", act)
    stage.open()
    stage.protected()
    stage.ask_close()
    stage.flat("CLOSED")


def requests_dead(stage: Stage) -> None:
    """Every request gets a 503 while the streams live: the stop stays, and moves when that is over."""
    stage.open()
    stage.protected()
    move = stage.moved("2")
    order_for_all(stage, "http", status=503, text="Service Unavailable", for_ms=LASTS_MS)
    move()
    stage.in_profit()
    stage.protected()
    stage.no_event("stop_loss_lost", "rollback_started")


def too_many_requests(**body: object) -> Story:
    """A move is refused for the rate: said so, and the move comes after the pause."""

    def story(stage: Stage) -> None:
        stage.open()
        stage.protected()
        limited = so_far(stage, "rate_limited")
        stage.fault("reject", Act.STOP, **body)
        stage.move("2")
        told(stage, "rate_limited", "warning", limited)
        stage.in_profit()
        stage.protected()

    return story


def banned(stage: Stage) -> None:
    """The address is banned for a while: nothing is sent into the ban, and the stop moves after it."""
    stage.open()
    stage.protected()
    already = so_far(stage, "venue_banned")
    stage.fault("reject", Act.STOP, code=-1003, status=418, msg="Way too many requests.", retry_after_s=2)
    stage.move("2")
    told(stage, "venue_banned", "critical", already)
    stage.in_profit()
    stage.protected()


def maintenance(stage: Stage) -> None:
    """Maintenance: no entries, a probe, and the stop that was waiting moves when the venue answers again."""
    stage.open()
    stage.protected()
    begun, over = so_far(stage, "venue_maintenance"), so_far(stage, "venue_resumed")
    move = stage.moved("2")
    order_for_all(stage, "reject", code=-1, msg="System is under maintenance.", status=400, for_ms=LASTS_MS)
    move()
    told(stage, "venue_maintenance", "warning", begun)
    told(stage, "venue_resumed", "info", over)
    stage.in_profit()
    stage.protected()


def read_account(stage: Stage) -> None:
    """Have the account read, to the end of that reading."""

    def readings() -> int:
        return so_far(stage, "reconcile_finished") + so_far(stage, "reconcile_failed")

    before = readings()
    stage.service.ctl("reconcile", account="main")
    stage.service.wait_for(lambda: readings() > before, 20, "a reading of the account")


def untrue_snapshots(command: str, **body: object) -> Story:
    """Two readings of the account lack rows or are old: no stop and no position is given up for that."""

    def story(stage: Stage) -> None:
        opened = stage.open()
        stage.protected()
        for path in LISTS[stage.venue.exchange]:
            stage.service.exchange("POST", f"/control/{command}", {"path": path, "next": 2, **body})
        for _reading in range(2):
            read_account(stage)
        stage.no_event("stop_loss_lost", "position_closed", "rollback_started")
        assert stage.protected()["stop_order_id"] == opened["stop_order_id"]

    return story


TABLE = (
    Row(name="refused", law=5, story=refused, hedged=True),
    Row(name="requests_dead_streams_alive", law=5, story=requests_dead),
    Row(name="streams_dead_requests_alive", law=5, story=streams_break(streams_dead), hedged=True),
    Row(name="streams_cut", law=5, story=streams_break(streams_cut)),
    Row(name="stopped_out_unheard", law=6, story=stopped_out_unheard),
    Row(name="silent_streams", law=6, story=silent),
    Row(name="unreadable_frames", law=6, story=unreadable),
    Row(name="listen_key_expired", law=6, story=listen_key_expired, only="binanceusdm", hedged=True),
    Row(name="empty_lists", law=7, story=untrue_snapshots("rows", drop="all"), hedged=True),
    Row(name="missing_rows", law=7, story=untrue_snapshots("rows", drop=1)),
    Row(name="stale_lists", law=7, story=untrue_snapshots("stale", ms=60_000)),
    Row(name="429", law=8, story=too_many_requests(code=-1003, status=429, retry_after_s=1), only="binanceusdm"),
    Row(name="10006", law=8, story=too_many_requests(code=10006), only="bybit", hedged=True),
    Row(name="418", law=8, story=banned, only="binanceusdm"),
    Row(name="maintenance", law=8, story=maintenance, only="binanceusdm", hedged=True),
)
CASES = [
    (venue, row)
    for venue in VENUES
    for row in TABLE
    if row.only in ("", venue.exchange) and (row.hedged or not venue.hedged)
]
Services = Callable[[Venue], tuple[ServiceProcess, Watch]]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """The service at a venue, started when it is first asked for; one at a time."""
    up: dict[Venue, tuple[ServiceProcess, Watch]] = {}
    with ExitStack() as stack:

        def service(venue: Venue) -> tuple[ServiceProcess, Watch]:
            if venue not in up:
                stack.pop_all().close()
                base = tmp_path_factory.mktemp(str(venue))
                started = stack.enter_context(running(base, {"accounts.main": venue.account}))
                up[venue] = (started, Watch(started.timeline))
            return up[venue]

        yield service


@pytest.mark.parametrize(("venue", "row"), CASES, ids=lambda each: getattr(each, "name", str(each)))
def test_is_survived(services: Services, venue: Venue, row: Row) -> None:
    service, watch = services(venue)
    number = TABLE.index(row)
    stage = Stage(service, watch, venue, SYMBOLS[number % len(SYMBOLS)], "short" if number % 2 else "long")
    try:
        row.story(stage)
        stage.finish()
    finally:
        service.exchange("POST", "/control/clear", {})
    judge(service)
