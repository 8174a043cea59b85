"""A gateway on a scripted client, with the ears of one position, the journal and the reconciler."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from actors import messages
from actors.gateway import Gateway, Wiring
from actors.marks import Mark, Marks
from actors.messages import (
    GatewayStarted,
    Perform,
    Write,
)
from actors.owners import Place as Where
from actors.standing import Standing
from actors.ticket import Ticket
from domain.accounts import Expected, MarginMode, Realm
from domain.catalogue import EventType
from domain.identity import OrderKind
from domain.instrument import PositionSide
from domain.orders import (
    OrderIntent,
)
from domain.position.effects import Effect, Place
from domain.position.inputs import (
    OutcomeHeard,
)
from persistence.spool import Spool
from tests.actors.order_path.leases import held_lease
from tests.actors.order_path.scripted import MARK, Owner, ScriptedClient
from tests.actors.order_path.stage import WAIT_S, Stage
from tests.persistence.samples import BTC, position, record

NAME = messages.gateway("main")


class Bench:
    """A gateway, its client, and the ears of one position, the journal and the reconciler."""

    def __init__(
        self,
        directory: Path,
        *,
        leverage: int = 0,
        dry_run: bool = False,
        client: ScriptedClient | None = None,
        margin_mode: MarginMode | None = None,
        priced: bool = True,
        standby: bool = False,
        hedge_mode: bool = False,
    ) -> None:
        """`priced`: a mark price of the symbol has been heard."""
        self.stage = Stage()
        self.client = client or ScriptedClient()
        self.clients = [self.client]
        self.spool = Spool(directory / "spool")
        self.marks = Marks()
        self.standing = Standing()
        self.superseded: list[str] = []
        self.lease = held_lease(
            self.stage.clock, standby=standby, superseded=lambda reason, _: self.superseded.append(reason)
        )
        self.expected = Expected(
            account="main", mode="paper", realm=Realm.LOCAL, margin_mode=margin_mode, hedge_mode=hedge_mode
        )
        self.owner = Owner()
        self.position = self.stage.ear(messages.position(self.owner.id))
        self.journal = self.stage.ear(messages.JOURNAL)
        self.reconciler = self.stage.ear(messages.reconciler("main"))
        self.stage.owners.claim(Where("main", BTC.symbol), position(self.owner.number))
        self.wiring = Wiring(
            account="main",
            open_client=lambda: self.clients[-1],
            expected=lambda: self.expected,
            standing=self.standing,
            lease=self.lease,
            instruments={},
            owners=self.stage.owners,
            marks=self.marks,
            spool=self.spool,
            recorder=self.stage.recorder,
            leverage=lambda _symbol: leverage,
            max_stop_distance_pct=Decimal(60),
            dry_run=dry_run,
        )
        self.stage.add(NAME, lambda context: Gateway.start(context, self.wiring))
        self._priced = priced
        if priced:
            self.mark()
        self.stage.start()
        for heard in (self.position, self.reconciler):
            heard.wait(GatewayStarted)
            heard.clear()

    def mark(self, price: Decimal = MARK) -> None:
        now = datetime.now(UTC)
        self.marks.put("main", BTC.symbol, Mark(price=price, at=now, heard_at=now))

    def perform(self, effect: Effect, ticket: Ticket | None = None, owner: Owner | None = None) -> None:
        self.stage.tell(
            NAME,
            Perform(
                asked_at=datetime.now(UTC),
                effect=effect,
                fence=(owner or self.owner).fence,
                symbol=BTC.symbol,
                side=PositionSide.LONG,
                ticket=ticket,
                mark_price=MARK if self._priced else None,
            ),
        )

    def place(
        self, kind: OrderKind = OrderKind.STOP, ticket: Ticket | None = None, owner: Owner | None = None, **changes: Any
    ) -> OrderIntent:
        intent = (owner or self.owner).intent(kind, **changes)
        self.perform(Place(intent=intent), ticket, owner)
        return intent

    def outcome(self, intent: OrderIntent) -> Any:
        return self.position.wait(OutcomeHeard, lambda h: h.outcome.client_id == intent.client_id).outcome

    def events(self, kind: EventType) -> list[Any]:
        self.stage.worked_off(messages.JOURNAL)
        return [e for write in self.journal.of(Write) for e in write.record.events if e.type is kind]

    def sent(self) -> list[str]:
        return [intent.client_id for intent in self.client.called("place")]

    def settle(self) -> None:
        """Everything told so far has been heard by the desk, its loop has turned, and what it said has been heard."""
        turned = threading.Event()
        self.stage.worked_off(NAME)
        actor = self.stage.actor(NAME)
        for _ in range(3):
            turned.clear()
            actor._loop.call(turned.set)
            assert turned.wait(WAIT_S)
        self.stage.worked_off(messages.position(self.owner.id), messages.JOURNAL, messages.reconciler("main"))

    def stop(self) -> None:
        for client in self.clients:
            client.script.clear()
        self.stage.stop()
        self.spool.close()


def hang(_: object) -> asyncio.Future[None]:
    """Never answers."""
    return asyncio.get_running_loop().create_future()


def waiting_ticket() -> Ticket:
    """A ticket that the journal has not settled."""
    return Ticket(record())
