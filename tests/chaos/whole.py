"""Is an account whole: every position of ours on the exchange owned, with one stop of its size? And are the streams up?

Rules of this file: the exchange's side is read from its timeline, the owner's over the control socket. A position
that is on its way (an entry, a move) is whole at some moments and not at others: after a healing each position has to
be seen whole once, not all at the same time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from adapters.admin.client import NoService
from adapters.admin.protocol import AdminError
from tests.chaos.house import Exchange, House
from tests.oracle.book import Book
from tests.oracle.facts import Key, Life, Order

LOOK_EVERY_S = 0.1
WHOLE_WITHIN_S = 10.0
"""L1."""
STREAMS_WITHIN_S = 45.0
"""The longest pause before a stream is dialled again is 30 s (signals); then it has to come up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A position on the exchange as it is now."""

    key: Key
    life: Life
    quantity: Decimal
    covers: tuple[Decimal, ...]
    """What each live stop of ours would close."""

    def missing(self, owned: Mapping[Key, dict[str, Any]]) -> str:
        """What it lacks; empty if nothing."""
        row = owned.get(self.key)
        if row is None:
            return "no owner"
        if Decimal(row["quantity"]) != self.quantity:
            return f"its owner believes in {row['quantity']} of {self.quantity}"
        if len(self.covers) != 1:
            return f"{len(self.covers)} stops"
        return "" if self.covers[0] == self.quantity else f"a stop for {self.covers[0]} of {self.quantity}"


@dataclass(slots=True, kw_only=True)
class Recovery:
    """How long after a healing (s) each account was whole, and the streams and everything else up."""

    whole_s: dict[str, float] = field(default_factory=dict)
    up_s: float | None = None
    complaints: list[str] = field(default_factory=list)


def held(exchange: Exchange) -> list[Held]:
    """The positions of ours on the exchange."""
    return exchange.watch.read(_held)


def _held(book: Book) -> list[Held]:
    return [
        Held(
            key=key,
            life=life,
            quantity=book.size(key),
            covers=tuple(
                order.closing_quantity(book.size(key)) for order in book.resting.get(key, ()) if _is_stop(order)
            ),
        )
        for key, life in book.lives.items()
        if life.owner is not None and book.size(key)
    ]


def _is_stop(order: Order) -> bool:
    return order.our_stop and order.live


def owned(house: House, exchange: Exchange) -> dict[Key, dict[str, Any]] | None:
    """Whose the positions of an account are, None if the service does not answer."""
    try:
        rows = house.service.positions(account=exchange.account)
    except (NoService, AdminError):
        return None
    hedged = exchange.venue.hedged
    return {(row["symbol"], row["side"].upper() if hedged else "BOTH"): row for row in rows}


def await_whole(house: House) -> Recovery:
    """Wait until every position that is open now was seen whole (or gone) once, then until everything is up."""
    begun = time.monotonic()
    found = Recovery()
    waiting = {name: {each.key: each.life for each in held(exchange)} for name, exchange in house.exchanges.items()}
    lacks: dict[tuple[str, Key], str] = {}
    while waiting and time.monotonic() - begun < WHOLE_WITHIN_S:
        for name in list(waiting):
            exchange = house.exchanges[name]
            owners = owned(house, exchange)
            now = {each.key: each for each in held(exchange)}
            for key, life in list(waiting[name].items()):
                here = now.get(key)
                lacks[name, key] = "no answer of the service" if owners is None else ""
                if owners is not None and here is not None and here.life is life:
                    lacks[name, key] = here.missing(owners)
                if not lacks[name, key]:
                    del waiting[name][key]
            if not waiting[name]:
                found.whole_s[name] = time.monotonic() - begun
                del waiting[name]
        time.sleep(LOOK_EVERY_S)
    for name, keys in waiting.items():
        late = f"{WHOLE_WITHIN_S:.0f} s after healing"
        found.complaints += [
            f"L1 {name} {key[0]} {key[1]} position {life.owner}, {late}: {lacks[name, key]}"
            for key, life in keys.items()
        ]
    _await_up(house, begun, found)
    return found


def _await_up(house: House, begun: float, found: Recovery) -> None:
    down: list[str] = []
    while time.monotonic() - begun < STREAMS_WITHIN_S:
        down = not_up(house)
        if not down:
            found.up_s = time.monotonic() - begun
            return
        time.sleep(LOOK_EVERY_S)
    found.complaints.append(f"L2 not up {STREAMS_WITHIN_S:.0f} s after healing: {'; '.join(down)}")


def not_up(house: House) -> list[str]:
    """What of the service is not well, in words."""
    try:
        status = house.service.ctl("status")
    except (NoService, AdminError) as silent:
        return [f"status: {silent}"]
    down = [f"{each['name']} {each['state']}: {each['reason']}" for each in status["components"]
            if each["state"] != "healthy"]  # fmt: skip
    return down + ([] if status["entries"]["open"] else [f"entries: {status['entries']['why']}"])
