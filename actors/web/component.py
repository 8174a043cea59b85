"""The web actor: owns the HTTP server, starts it anew when it dies or hangs, and keeps the course of each position.

Rules of this file: trading never waits for a browser, nor fails for one. A taken port is told once and tried again and
again; whatever else goes wrong here is this actor's crash, and its successor opens a new server.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from actors.control import answering
from actors.control.answering import Answering
from actors.foundation import Ground
from actors.guard import ActorContext
from actors.messages import Tick
from actors.standing import Standing
from actors.web.showing import Showing
from actors.web.traces import Traces
from adapters.web.gate import is_loopback
from adapters.web.server import Address, PortTaken, WebServer
from domain.catalogue import EventType, Severity
from domain.position import trailing
from domain.position.state import Position
from persistence.reader import Reader

NAME = "web"
LOOK_S = 1.0
TRY_AGAIN_S = 5.0
QUICKLY_S = 1.0
HANGS_AFTER = 8
"""Looks in a row between which the server's loop has not turned once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the web actor is given. `announce`: the file that says where it listens."""

    house: answering.Wiring
    address: Address
    audit_key: str
    announce: Path
    standings: Mapping[str, Standing]
    conninfo: str
    away_because: Callable[[], str | None]


def wiring_of(ground: Ground, house: answering.Wiring) -> Wiring:
    """What the settings and the service give it."""
    chosen, attachment = ground.settings.web, ground.attachment
    return Wiring(
        house=house,
        address=Address(
            host=chosen.host, port=chosen.port, allowed_hosts=chosen.allowed_hosts, max_streams=chosen.max_streams
        ),
        audit_key=chosen.diagnostics_api_key.get_secret_value(),
        announce=ground.settings.service.state_dir / "web.json",
        standings=ground.standings,
        conninfo=ground.conninfo,
        away_because=lambda: attachment.closed_because,
    )


class Web(Answering):
    """Serves while it lives."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        self._reader = Reader(wiring.conninfo, wiring.away_because)
        super().__init__(context, replace(wiring.house, reader=self._reader))
        self._own = wiring
        self._traces = Traces()
        self._server: WebServer | None = None
        self._tries_at = 0.0
        self._taken = False
        self._beats, self._still = -1, 0

    def started(self) -> None:
        """Serve, if the port can be had."""
        self._serve()
        self.remind_after(LOOK_S, Tick())

    def receive(self, message: Any) -> object:
        """Once a second: is the server well, and where are marks and stops?"""
        match message:
            case Tick():
                self.remind_after(LOOK_S, Tick())
                self._look()
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    def stopping(self) -> None:
        """Let all pages go; nobody is told an address any more."""
        self._own.announce.unlink(missing_ok=True)
        if self._server is not None:
            self._server.stop()
        self._reader.close()

    def perished(self) -> None:
        """A dead web actor serves nobody: the port is its successor's."""
        if self._server is not None:
            self._server.stop(seconds=QUICKLY_S)
        self._reader.close()

    def _serve(self) -> None:
        own = self._own
        showing = Showing(self, own.standings, self._traces, self._reader)
        server = WebServer(own.address, showing, version=own.house.version, audit_key=own.audit_key)
        try:
            url = server.start()
        except PortTaken as taken:
            self._tries_at = self.clock.monotonic() + TRY_AGAIN_S
            if not self._taken:
                self._taken = True
                data = {"host": own.address.host, "port": own.address.port, "again_s": int(TRY_AGAIN_S)}
                self.report(EventType.WEB_UNAVAILABLE, data, error=f"the page is not served, trading goes on: {taken}")
            return
        self._server, self._taken = server, False
        self._announce(url)
        open_to_all = not is_loopback(own.address.host)
        severity = Severity.WARNING if open_to_all else None
        self.report(EventType.WEB_LISTENING, {"url": url, "beyond_this_machine": open_to_all}, severity=severity)

    def _announce(self, url: str) -> None:
        """Written whole or not at all. A disk that takes nothing is told of; the page is served all the same."""
        own, file = self._own, self._own.announce
        draft = file.with_suffix(".new")
        try:
            draft.write_text(json.dumps({"url": url, "pid": os.getpid()}) + "\n")
            draft.replace(file)
        except OSError as error:
            data = {"host": own.address.host, "port": own.address.port, "again_s": 0}
            self.report(EventType.WEB_UNAVAILABLE, data, error=f"{file.name} is not written, {url} serves: {error}")

    def _look(self) -> None:
        seen = {int(p.id): (self._mark(p), _stop(p)) for p in self.wiring.owners.all()}
        self._traces.look(self.clock.now().timestamp(), seen)
        server = self._server
        if server is None:
            if self.clock.monotonic() >= self._tries_at:
                self._serve()
            return
        if not server.alive:
            raise RuntimeError(f"the web server died: {server.error or 'without a word'}")
        self._still = self._still + 1 if server.beats == self._beats else 0
        self._beats = server.beats
        if self._still >= HANGS_AFTER:
            raise RuntimeError(f"the web server hangs: its loop has not turned for {self._still} s")

    def _mark(self, position: Position) -> float | None:
        mark = self.wiring.marks.get(position.account, position.symbol)
        return None if mark is None else float(mark.price)


def _stop(position: Position) -> float | None:
    stop = trailing.stop_in_force(position)
    return None if stop is None else float(stop.trigger)
