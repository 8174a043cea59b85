"""Acts of the venue itself and of humans at it, by the paper exchange's control: past the fault proxy.

The oracle hears of all of them from the timeline.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from functools import partial

from tests.chaos.act import Act, Group
from tests.chaos.house import Exchange, House
from tests.oracle.book import Book
from tests.oracle.facts import Key, Order
from tests.oracle.reader import AlgoLine

Ordered = tuple[str, str, dict[str, object]]
"""Kind, command and its fields."""

# Answers that lie, triggers that fail, fills in parts, frames that go wrong: the same names on both dialects.
COMMON: tuple[Ordered, ...] = (
    ("stale answers", "stale", {"ms": 2_500, "percent": 60}),
    ("young orders hidden", "hide", {"ms": 2_000, "percent": 60}),
    ("empty lists", "rows", {"drop": "all", "percent": 50}),
    ("short lists", "rows", {"drop": 1, "percent": 50}),
    ("triggers spoiled", "spoil", {"next": 1}),
    ("triggers stuck", "stick", {"next": 1}),
    ("triggers filled in part", "part", {"next": 1}),
    ("fills late", "hold_fill", {"ms": 1_000, "percent": 50}),
    ("fills cut", "cut_fill", {"share": 40, "percent": 50}),
    ("frames doubled", "double", {"ms": 200, "percent": 60}),
    ("frames late", "late", {"ms": 1_500, "percent": 60}),
    ("frames reordered", "reorder", {"percent": 50}),
    ("frames lost", "lose", {"percent": 40}),
    ("frames garbled", "garble", {"percent": 10}),
    ("maintenance page", "http", {"status": 503, "method": "*", "percent": 50}),
    ("half-open, done", "hang", {"acted": True, "percent": 30}),
)
BINANCE: tuple[Ordered, ...] = (
    ("rejects: too many stops", "reject", {"path": "algoOrder", "code": -4045, "percent": 50}),
    ("rejects: margin", "reject", {"path": "order", "code": -2019, "percent": 50}),
    ("rejects: unknown outcome", "reject", {"code": -1007, "acted": True, "percent": 30}),
)
BYBIT: tuple[Ordered, ...] = (
    ("rejects: too many stops", "reject", {"path": "trading-stop", "code": 110061, "percent": 50}),
    ("rejects: margin", "reject", {"path": "create", "code": 110007, "percent": 50}),
    ("rejects: unknown outcome", "reject", {"code": 10016, "acted": True, "percent": 30}),
)
GAP_PCT = (Decimal("-2.5"), Decimal("2.5"))


def venue_acts(rng: random.Random, accounts: tuple[str, ...]) -> list[Act]:
    """Each fault of the venue on each account once."""
    acts: list[Act] = []
    for account in accounts:
        acts += [_fault(rng, account, kind, partial(_same, command, body)) for kind, command, body in COMMON]
        acts += [
            _fault(rng, account, kind, partial(_by_dialect, number)) for number, (kind, _, _) in enumerate(BINANCE)
        ]
        gap = partial(_on_a_position, account, rng.random(), partial(_gap, rng.choice(GAP_PCT)))
        acts.append(Act(group=Group.VENUE, kind="venue price gap", account=account, begin=gap))
        cut = partial(_do, account, "cut_streams")
        acts.append(Act(group=Group.VENUE, kind="venue streams cut", account=account, begin=cut))
        expiry = partial(_expire_keys, account)
        acts.append(Act(group=Group.VENUE, kind="venue stream keys expired", account=account, begin=expiry))
    return acts


def human_acts(rng: random.Random, accounts: tuple[str, ...]) -> list[Act]:
    """Each human act on each account once, a cancelled stop twice."""
    deeds: tuple[tuple[str, Callable[[Exchange, Book, Key], bool]], ...] = (
        ("stop cancelled", _cancel_stop),
        ("stop cancelled", _cancel_stop),
        ("position reduced", _reduce),
        ("position closed", _close),
        ("position increased", _increase),
        ("position liquidated", _liquidate),
    )
    return [
        Act(
            group=Group.HUMAN, kind=f"human {kind}", account=account,
            begin=partial(_on_a_position, account, rng.random(), deed),
        )
        for account in accounts
        for kind, deed in deeds
    ]  # fmt: skip


def release_stuck(house: House) -> None:
    """Triggers that hang are let go on."""
    for exchange in house.exchanges.values():
        for algo_id in exchange.watch.read(_stuck):
            _try(exchange, "release", algoId=algo_id)


# Faults of the venue.


def _fault(
    rng: random.Random, account: str, kind: str, what: Callable[[Exchange], tuple[str, dict[str, object]]]
) -> Act:
    lasts_s = rng.uniform(2, 6)
    return Act(
        group=Group.VENUE, kind=f"venue {kind}", account=account, lasts_s=lasts_s,
        begin=partial(_let_it_wait, account, what, int(lasts_s * 1000)),
    )  # fmt: skip


def _same(command: str, body: dict[str, object], _: Exchange) -> tuple[str, dict[str, object]]:
    return command, body


def _by_dialect(number: int, exchange: Exchange) -> tuple[str, dict[str, object]]:
    _kind, command, body = (BYBIT if exchange.venue.attaches else BINANCE)[number]
    return command, body


def _let_it_wait(
    account: str, what: Callable[[Exchange], tuple[str, dict[str, object]]], for_ms: int, house: House
) -> bool:
    exchange = house.exchanges[account]
    command, body = what(exchange)
    return _try(exchange, command, **body, for_ms=for_ms)


def _do(account: str, command: str, house: House) -> bool:
    return _try(house.exchanges[account], command)


def _expire_keys(account: str, house: House) -> bool:
    exchange = house.exchanges[account]
    return not exchange.venue.attaches and _try(exchange, "expire_listen_key")


def _try(exchange: Exchange, command: str, **body: object) -> bool:
    """Whether the exchange did it; it may be away, or the position over by now."""
    try:
        exchange.control(command, **body)
    except AssertionError:
        return False
    return True


# What is done to one position.


def _on_a_position(
    account: str, share: float, deed: Callable[[Exchange, Book, Key], bool], house: House
) -> bool:
    exchange = house.exchanges[account]
    return exchange.watch.read(lambda book: _choose(exchange, book, share, deed))


def _choose(
    exchange: Exchange, book: Book, share: float, deed: Callable[[Exchange, Book, Key], bool]
) -> bool:
    owned = sorted(key for key, life in book.lives.items() if life.owner is not None and book.size(key))
    return bool(owned) and deed(exchange, book, owned[int(share * len(owned))])


def _gap(percent: Decimal, exchange: Exchange, _book: Book, key: Key) -> bool:
    return _try(exchange, "gap", symbol=key[0], percent=str(percent))


def _cancel_stop(exchange: Exchange, book: Book, key: Key) -> bool:
    if exchange.venue.attaches:
        return _try(exchange, "position_stop", symbol=key[0], stop_loss="0", **_side(key))
    stops = [order.latest for order in book.resting.get(key, ()) if order.our_stop and order.live]
    ids = [int(line.algo_id) for line in stops if isinstance(line, AlgoLine)]
    return bool(ids) and _try(exchange, "cancel", algoId=ids[0])


def _reduce(exchange: Exchange, book: Book, key: Key) -> bool:
    step = exchange.filters[key[0]].step
    part = (book.size(key) * Decimal("0.4") / step).quantize(Decimal(1)) * step
    return part > 0 and _by_hand(exchange, book, key, part, opens=False)


def _close(exchange: Exchange, book: Book, key: Key) -> bool:
    return _by_hand(exchange, book, key, book.size(key), opens=False)


def _increase(exchange: Exchange, book: Book, key: Key) -> bool:
    step = exchange.filters[key[0]].step
    part = (book.size(key) * Decimal("0.4") / step).quantize(Decimal(1)) * step
    return part > 0 and _by_hand(exchange, book, key, part, opens=True)


def _liquidate(exchange: Exchange, _book: Book, key: Key) -> bool:
    return _try(exchange, "liquidate", symbol=key[0], **_side(key))


def _by_hand(exchange: Exchange, book: Book, key: Key, quantity: Decimal, *, opens: bool) -> bool:
    side = "BUY" if opens == (book.lives[key].side > 0) else "SELL"
    closes = {} if exchange.venue.hedged else {"reduceOnly": not opens}
    return _try(exchange, "order", symbol=key[0], side=side, quantity=str(quantity), **closes, **_side(key))


def _side(key: Key) -> dict[str, object]:
    return {} if key[1] == "BOTH" else {"position_side": key[1]}


def _stuck(book: Book) -> list[int]:
    def ids(order: Order) -> list[int]:
        line = order.latest
        return [int(line.algo_id)] if isinstance(line, AlgoLine) and line.status == "TRIGGERING" else []

    return [algo_id for orders in book.resting.values() for order in orders for algo_id in ids(order)]
