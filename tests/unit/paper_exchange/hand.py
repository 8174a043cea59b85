"""The control endpoints of an exchange in this process: commands by name, connections that only count."""

from typing import Any

from adapters.paper_exchange.control import Control
from adapters.paper_exchange.faults import happening_of_request
from adapters.paper_exchange.timeline import read_timeline
from adapters.paper_exchange.wire import WireRequest
from tests.unit.paper_exchange.venue import Venue


class Connections:
    """Remembers what was done to them."""

    def __init__(self) -> None:
        self.done: list[tuple[str, float]] = []

    def cut_streams(self) -> int:
        self.done.append(("cut", 0))
        return 1

    def stall_streams(self, seconds: float) -> int:
        self.done.append(("stall", seconds))
        return 1

    def shut(self, seconds: float) -> None:
        self.done.append(("shut", seconds))


class Hand:
    """Control over a venue."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.connections = Connections()
        self.control = Control(venue.exchange, venue.dialect, self.connections, 1)

    def __call__(self, command: str, **asked: Any) -> dict[str, Any]:
        return self.control.perform(command, asked)

    def lines(self, *kinds: str) -> list[dict[str, Any]]:
        """The timeline's lines of these kinds."""
        return [line for line in read_timeline(self.venue.log) if line["kind"] in kinds]

    def get(self, path: str, **params: Any) -> Any:
        """A query as the server answers it: through what was ordered."""
        happening = happening_of_request(
            WireRequest(
                method="GET",
                path=path,
                query="&".join(f"{name}={value}" for name, value in params.items()),
                body="",
                headers={},
            )
        )
        treatment = self.control.treatment(happening)
        seen = self.control.seen_by(treatment) or self.venue.exchange.book
        with self.venue.exchange.answering_from(seen):
            return treatment.shown(self.venue.send("GET", path, **params)).body
