"""Report, digest, performance records and page say the same of a day, whatever kinds of positions are in the book."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from domain.instrument import Side
from domain.position.state import OrderFills, Phase
from persistence import day
from persistence.digest import read_day
from persistence.reader import Reader
from persistence.report import report
from persistence.writer import Writer
from tests.persistence import samples
from tests.persistence.samples import NOON

D = Decimal
DAY = NOON.date()
MIDNIGHT = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
NEXT = MIDNIGHT + timedelta(days=1)
BOUGHT = OrderFills(
    exchange_id="900", side=Side.BUY, traded=D("0.003"), traded_notional=D(150), fee=D("0.06"), trades=frozenset({"a"})
)


def sold(gained: str, **more: Any) -> tuple[OrderFills, ...]:
    """What opened a position, and what closed it with a gain before fees, of which there were 0.10."""
    closing = OrderFills(
        exchange_id="901", side=Side.SELL, traded=D("0.003"), traded_notional=D(150), fee=D("0.04"),
        realized_pnl=D(gained), trades=frozenset({"b"}),
    )  # fmt: skip
    return (BOUGHT, replace(closing, **more))


KINDS: tuple[dict[str, Any], ...] = (
    {"phase": Phase.CLOSED, "fills": sold("5")},
    {"phase": Phase.CLOSED, "fills": sold("0.10")},  # neither won nor lost
    {"phase": Phase.CLOSED, "fills": sold("0.05")},  # a gain that the fees ate
    {"phase": Phase.CLOSED, "fills": sold("-1")},
    {"phase": Phase.ROLLED_BACK, "fills": sold("-2")},
    {"phase": Phase.LIQUIDATED, "fills": sold("-40")},
    {"phase": Phase.CLOSED, "fills": sold("3"), "adopted": True},
    {"phase": Phase.CLOSED, "fills": (), "adopted": True, "adopted_quantity": D(1), "adopted_price": D(50_000)},
    {"phase": Phase.CLOSED, "fills": sold("0.2", fees_apart=(("BNB", D("0.001")),))},
    {"phase": Phase.CLOSED, "fills": sold("0.2", fees_apart=(("BNB", D("0.002")), ("MNT", D(3))))},
    {"phase": Phase.FAILED, "fills": ()},
    {"phase": Phase.CLOSED, "fills": ()},  # closed by an operator before its entry was sent: no trade
    {"phase": Phase.ROLLED_BACK, "fills": ()},
    {"phase": Phase.RELEASED, "fills": (BOUGHT,)},
    {"phase": Phase.ACTIVE, "fills": (BOUGHT,), "closed_at": None},
    {"phase": Phase.PENDING_ENTRY, "fills": (), "closed_at": None},
    {"phase": Phase.CLOSED, "fills": sold("7"), "closed_at": NEXT},
    {"phase": Phase.CLOSED, "fills": sold("7"), "closed_at": MIDNIGHT - timedelta(microseconds=1)},
    {"phase": Phase.CLOSED, "fills": sold("9"), "opened_at": MIDNIGHT - timedelta(days=1), "closed_at": MIDNIGHT},
    {"phase": Phase.CLOSED, "fills": sold("11"), "account": "other"},
    {"phase": Phase.ACTIVE, "fills": (BOUGHT,), "opened_at": MIDNIGHT - timedelta(days=1), "closed_at": None},
    {"phase": Phase.ACTIVE, "fills": (BOUGHT,), "opened_at": NEXT, "closed_at": None},
)
"""Each of them was unprotected for as many seconds as its number in this list says."""


def test_all_that_count_positions_agree(writer: Writer, reader: Reader) -> None:
    common = {"opened_at": NOON, "closed_at": NOON}
    for number, kind in enumerate(KINDS, 1):
        position = samples.position(number, unprotected_seconds=D(number), **{**common, **kind})
        assert writer.write([samples.record(position=position)]) == []

    reported = report(reader.pool, MIDNIGHT, NEXT, "main")
    assert reported["positions"] == {
        "opened": 14, "failed": 1, "closed": 11, "rolled_back": 1, "liquidated": 1, "won": 5, "lost": 4,
        "win_rate_pct": D("45.45"),
    }  # fmt: skip
    assert reported["unprotected_seconds"] == sum(range(1, 19)), "of those that were opened on that day"
    assert (reported["realized_pnl"], reported["fees"], reported["net_pnl"]) == (D("-25.45"), D("1.00"), D("-26.45"))
    assert reported["fees_apart"] == {"BNB": D("0.003"), "MNT": D(3)}
    assert [row["id"] for row in reported["closed"]] == [19, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert [row["fees_apart"] for row in reported["closed"][-2:]] == [{"BNB": "0.001"}, {"BNB": "0.002", "MNT": "3"}]

    of_the_day = reader.day_of("main", DAY)
    assert of_the_day.unprotected_seconds == reported["unprotected_seconds"]
    assert (of_the_day.opened, of_the_day.closed, of_the_day.won) == (14, 11, 5)

    everywhere = report(reader.pool, MIDNIGHT, NEXT)
    digest = read_day(reader, DAY)
    assert (digest.closed, digest.won) == (12, 6)
    assert (digest.net_pnl, digest.fees) == (everywhere["net_pnl"], everywhere["fees"])
    assert digest.fees_apart == everywhere["fees_apart"] == {"BNB": D("0.003"), "MNT": D(3)}
    assert everywhere["positions"]["closed"] == digest.closed
    assert digest.unprotected_seconds == everywhere["unprotected_seconds"]

    page = day.totals(reader.pool, MIDNIGHT)
    assert page == {
        "opened": everywhere["positions"]["opened"], "closed": digest.closed,
        "realized": everywhere["realized_pnl"], "fees": digest.fees,
    }  # fmt: skip
