"""What every method of the control socket stands on: what the admin was given, and the names that operators use.

A method is a function of the house, the request's parameters and who asks. It runs on a thread of the socket's
server, so it may wait for an actor or the database; it changes nothing by itself: it asks the actor who may.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from actors import messages
from actors.directory import Unanswered, Unavailable
from actors.guard import ActorContext
from actors.healths import Healths
from actors.marks import Marks
from actors.messages import EntriesState
from actors.owners import Owners
from actors.recording import Recorder
from actors.reporting import ReportingActor
from actors.ruling import Ruling
from actors.views import judged_view, position_view
from adapters.admin.parameters import refused
from adapters.admin.protocol import INVALID_PARAMS, AdminError
from adapters.exchange.symbols import UnknownSymbol
from domain.instrument import Instrument
from domain.position.state import Position
from persistence.reader import Reader

ANSWER_S = 3.0
LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the admin is given. `request_stop` ends the service in order."""

    socket: Path
    max_clients: int
    mode: str
    version: str
    dry_run: bool
    chaos: bool
    started_at: datetime
    accounts: Mapping[str, str]
    instruments: Mapping[str, Mapping[str, Instrument]]
    owners: Owners
    marks: Marks
    healths: Healths
    reader: Reader
    recorder: Recorder
    terms: Mapping[str, int]
    request_stop: Callable[[str], None]
    ruling: Ruling


class Answering(ReportingActor):
    """An actor that can answer; `wiring` is what it was given."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder)
        self.wiring = wiring

    def closed(self) -> Mapping[str, str | None]:
        """Why entries are closed, by account. A desk that does not answer takes none."""
        try:
            closed: Mapping[str, str | None] = self.directory.ask(messages.ENTRY_DESK, EntriesState(), ANSWER_S)
        except (Unavailable, Unanswered) as failure:
            return dict.fromkeys(self.wiring.accounts, str(failure))
        return closed

    def position(self, p: Position, now: datetime) -> dict[str, object]:
        """A position as INTERFACE names its parts; the mark price is the newest one known."""
        mark = self.wiring.marks.get(p.account, p.symbol)
        if mark is not None and not p.phase.final:
            p = p.changed(mark_price=mark.price, mark_at=mark.at)
        return position_view(p, now) | judged_view(p, self.wiring.healths.get(p.id))

    def known_account(self, account: str) -> str:
        if account not in self.wiring.accounts:
            raise refused("account", account, f"must be one of {', '.join(self.wiring.accounts)}")
        return account

    def only_account(self) -> str:
        if len(self.wiring.accounts) == 1:
            return next(iter(self.wiring.accounts))
        raise AdminError(INVALID_PARAMS, f"account is required: one of {', '.join(self.wiring.accounts)}")

    def canonical(self, symbol: str) -> str:
        """The symbol by any spelling, of whichever account knows it."""
        try:
            return self.wiring.ruling.spellings.anywhere().canonical(symbol)
        except UnknownSymbol as unknown:
            raise AdminError(INVALID_PARAMS, str(unknown), {"parameter": "symbol", "value": symbol}) from unknown
