"""The real server on a free port, over a source whose answers a test chooses."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from adapters.web.server import Address, WebServer
from adapters.web.source import EventFilter, Figure, NotNow, Plain, Sample, Spread

KEY = "key-of-the-auditor"
SECRET = "a-planted-secret"
AT = datetime(2026, 11, 30, 7, 0, tzinfo=UTC)


class Said:
    """One answer."""

    def __init__(self, reply: http.client.HTTPResponse) -> None:
        self.status = reply.status
        self.headers = {name.lower(): value for name, value in reply.getheaders()}
        self.text = reply.read().decode()

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Scripted:
    """A source: what it is asked for it gives, or raises."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """As new: for the next test."""
        self.trouble: Exception | None = None
        self.asked: list[object] = []
        self.open: list[Plain] = []
        self.fresh: list[Plain] = []

    def _give(self, answer: Plain) -> Plain:
        if self.trouble is not None:
            raise self.trouble
        return answer

    def health(self) -> Plain:
        part = {"name": "database", "state": "healthy", "reason": None}
        return self._give(
            {
                "status": "healthy", "reasons": [], "database": part, "exchanges": [],
                "positions": {"open": 0, "protected": 0, "unprotected": 0, "need_intervention": 0},
                "trailing_stops": {"waiting": 0, "trailing": 0, "inactive": 0},
                "websocket": {"state": "healthy", "streams": []}, "last_signal": None, "uptime_seconds": 1,
                "components": [part],
            }
        )  # fmt: skip

    def stats(self) -> Plain:
        raise ZeroDivisionError(SECRET)

    def positions(self, account: str | None, symbol: str | None, *, closed: int) -> Plain:
        self.asked.append((account, symbol, closed))
        return self._give({"positions": self.open, "as_of": AT})

    def drawing(self, position_id: int) -> Plain:
        return self._give({"id": position_id, "points": [], "stops": [], "fills": [], "missing": None})

    def events(self, wanted: EventFilter) -> Plain:
        self.asked.append(wanted)
        told = {
            "seq": 1, "ts": AT, "type": "position_error", "severity": "error", "position_id": None, "symbol": None,
            "correlation_id": None, "data": {"error": f"refused: {SECRET}", "price": Decimal("1E+1")},
        }  # fmt: skip
        return self._give({"events": [told], "next_since": 1})

    def trend(self) -> Plain:
        return self._give({"bucket_minutes": 30, "buckets": []})

    def audit(self, symbol: str | None) -> Plain:
        return self._give({"timestamp": AT, "symbols": []})

    def picture(self) -> Plain:
        return self._give({"as_of": AT, "positions": list(self.open)})

    def news(self, since: int | None) -> Plain:
        if self.trouble is not None:
            raise NotNow("the database cannot be reached")
        events, self.fresh = self.fresh, []
        return {"events": events, "next_since": (since or 0) + len(events)}

    def figures(self) -> tuple[list[Figure], list[Spread]]:
        gauge = Figure(name="up", help="It runs.", kind="gauge", samples=(Sample(labels={"a": 'x"\n'}, value=1),))
        spread = Spread(name="trip_seconds", help="h", labels={}, bounds_s=(0.1, 1.0), counts=(2, 0, 1), sum_s=5.5)
        return [gauge], [spread]

    def hide(self, text: str) -> str:
        return text.replace(SECRET, "***")


class Site:
    """The server and its source, spoken to as a browser would."""

    def __init__(self, server: WebServer, source: Scripted, url: str) -> None:
        self.server = server
        self.source = source
        self.port = int(url.rsplit(":", 1)[1])

    def connect(self, timeout: float = 10) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def get(self, path: str, method: str = "GET", **headers: str) -> Said:
        connection = self.connect()
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        said = Said(connection.getresponse())
        connection.close()
        return said


@pytest.fixture(scope="module")
def one_site() -> Iterator[Site]:
    source = Scripted()
    server = WebServer(
        Address(host="127.0.0.1", port=0, allowed_hosts=("holdfast.lan",), max_streams=2),
        source,
        version="9.9",
        audit_key=KEY,
    )
    url = server.start()
    yield Site(server, source, url)
    assert server.stop(), "it stops in time, with whatever a test left open"


@pytest.fixture
def site(one_site: Site) -> Site:
    one_site.source.forget()
    return one_site
