"""Events as they come: `events.follow`. The server streams what this yields, until the client hangs up.

Rules of this file: an event is told once, in the order of its number; who writes beside the journal may commit a lower
number a moment later, so a little of what was told is always looked at again. While the database is away there is
nothing to tell; what was spooled meanwhile follows when it is back.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from actors.control.answering import Answering
from actors.control.reading import EventFilter, event_filter
from adapters.admin.parameters import Parameters
from adapters.admin.protocol import Caller
from persistence.database import DatabaseAway

EVERY_S = 0.25
PAGE = 500
AGAIN = 64
FIRST = 20


def follow(house: Answering, params: Parameters, _: Caller) -> object:
    """Those after `since`, or the last `limit` (20 if not given), then each as it is written."""
    since = params.whole("since")
    limit = params.whole("limit", least=0, most=PAGE)
    wanted = event_filter(house, params)
    params.done()
    return _stream(house, wanted, since, FIRST if limit is None else limit)


def _stream(house: Answering, wanted: EventFilter, since: int | None, limit: int) -> Iterator[object]:
    reader = house.wiring.reader
    begun: list[dict[str, Any]] = []
    if since is None:
        since = reader.last_event_seq()
        begun = reader.events(limit=limit, **wanted) if limit else []
        since = max([since, *(row["seq"] for row in begun)])
    floor, told = since, {row["seq"]: None for row in begun}
    yield from begun
    while not house.fenced:
        try:
            rows = reader.events(since=max(floor, since - AGAIN), limit=PAGE, **wanted)
        except DatabaseAway:
            rows = []
        fresh = [row for row in rows if row["seq"] not in told]
        for row in fresh:
            told[row["seq"]] = None
            since = max(since, row["seq"])
            yield row
        for seq in [seq for seq in told if seq < since - 2 * AGAIN]:
            del told[seq]
        if not fresh:
            yield None  # so that a client that has gone is noticed
            threading.Event().wait(EVERY_S)
