"""The account feed: orders, fills and positions of one account as the venue pushes them, to their owners at once.

News goes to the owner named in the client order id, else to the owner of the symbol: a triggered stop's child carries
an id of the venue's, and what a human does carries none. After every (re)connect the reconciler looks, because nothing
replays what was missed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from actors import messages
from actors.agreement_messages import StrangerSeen
from actors.guard import ActorContext
from actors.lease import Lease
from actors.loop import EventLoop
from actors.market_feed import read_stream
from actors.messages import FeedState, FromStream, Health, ReconcileNow, StreamBroke
from actors.owners import Owners
from actors.recording import Recorder
from actors.reporting import ReportingActor
from actors.standing import Standing
from adapters.exchange.interface import AccountStream, Connected, Lost, WalletReport
from domain.catalogue import EventType
from domain.entries.funds import Wallet
from domain.identity import PositionId, parse_client_id
from domain.instrument import PositionSide
from domain.orders import Fill, OrderReport, PositionReport
from domain.position.inputs import FillHeard, OrderHeard, PositionHeard


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What an account feed is given."""

    account: str
    open_stream: Callable[[], AccountStream]
    owners: Owners
    standing: Standing
    lease: Lease
    recorder: Recorder


class AccountFeed(ReportingActor):
    """The private stream in, inputs of positions out."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder, wiring.account)
        self._wiring = wiring
        self._loop = EventLoop(f"loop:{context.name}")
        self._since: datetime | None = None
        self._lost: str | None = "not connected yet"
        self._last_at: datetime | None = None

    def started(self) -> None:
        """Open the stream."""
        self._wiring.standing.stream_lost("not connected yet")
        self._loop.start()
        stream = self._wiring.open_stream()
        self._loop.submit(read_stream(stream.watch, self))

    def receive(self, message: Any) -> object:
        """One piece of news."""
        match message:
            case FromStream(news=OrderReport() as report):
                self._route(report.client_id, report.symbol, report.position_side, OrderHeard(report=report))
            case FromStream(news=Fill() as fill):
                self._route(fill.client_id, fill.symbol, fill.position_side, FillHeard(fill=fill))
            case FromStream(news=PositionReport() as report):
                self._position(report)
            case FromStream(news=WalletReport() as told):
                heard = Wallet(wallet=told.wallet, equity=told.total, free=told.free, heard_at=self.clock.now())
                self._wiring.standing.wallet_heard(heard)
            case FromStream(news=Connected(at=at)):
                self._since, self._lost = at, None
                self._wiring.standing.stream_connected(at)
                self.report(EventType.STREAM_CONNECTED, {"stream": "account"})
                reconciler = messages.reconciler(self._wiring.account)
                if self.directory.newest_incarnation(reconciler) is not None:  # one that starts later looks by itself
                    self.tell(reconciler, ReconcileNow(reason="stream connected"))
            case FromStream(news=Lost(at=at, reason=reason)):
                self._since, self._lost = at, reason
                self._wiring.standing.stream_lost(reason)
                self.report(EventType.STREAM_LOST, {"stream": "account", "error": reason})
            case StreamBroke():
                raise RuntimeError(message.error) from message.cause
            case FeedState():
                state = "down" if self._lost is not None else "healthy"
                return Health(state=state, reason=self._lost or "", since=self._since, last_at=self._last_at)
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    def stopping(self) -> None:
        """Close the stream."""
        self._loop.close()

    def perished(self) -> None:
        """A dead feed reads nothing any more."""
        self._loop.close(seconds=0)

    def _route(self, client_id: str | None, symbol: str, side: PositionSide | None, heard: object) -> None:
        self._last_at = self.clock.now()
        self._wiring.lease.saw(client_id, "stream")
        owner = self._owner(client_id, symbol, side)
        if owner is not None:
            self.tell(messages.position(owner), heard)

    def _position(self, report: PositionReport) -> None:
        owners = self._wiring.owners
        place = owners.place(self._wiring.account, report.symbol, report.position_side)
        if owners.owner(place) is None:
            known = owners.foreign(place)
            owners.show_foreign(place, report.quantity)
            reconciler = messages.reconciler(self._wiring.account)
            if report.quantity and not known and self.directory.newest_incarnation(reconciler) is not None:
                self.tell(reconciler, StrangerSeen(symbol=report.symbol))  # bare for a whole cycle, else
        else:
            self._route(None, report.symbol, report.position_side, PositionHeard(report=report))

    def _owner(self, client_id: str | None, symbol: str, side: PositionSide | None) -> PositionId | None:
        """The owner by id while it lives; news of a life that is over concerns nobody (its orders are gone)."""
        ours = parse_client_id(client_id)
        if ours is not None:
            known = self._wiring.owners.state(ours.position_id)
            return ours.position_id if known is not None else None
        owners = self._wiring.owners
        return owners.owner(owners.place(self._wiring.account, symbol, side))
