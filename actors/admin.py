"""The admin actor: answers the control socket. Each method is a function of `actors.control`; `METHODS` lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.control import (
    alerts,
    following,
    kill_switch,
    positions,
    reading,
    reports,
    running,
    settings,
    status,
    symbols,
    zombies,
)
from actors.control.answering import Answering, Wiring
from actors.directory import Unanswered, Unavailable
from actors.guard import ActorContext
from actors.messages import Tick
from adapters.admin.parameters import Parameters
from adapters.admin.protocol import METHOD_NOT_FOUND, NOT_NOW, AdminError, Caller
from adapters.admin.server import AdminServer
from persistence.database import DatabaseAway

__all__ = ["METHODS", "Admin", "Wiring"]

LOOK_S = 1.0


class SocketGone(Exception):
    """Nobody can reach the control socket any more."""


class Admin(Answering):
    """Serves the socket; a crash closes it, a restart opens it again."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring)
        self._server = AdminServer(wiring.socket, self._dispatch, max_clients=wiring.max_clients)

    def started(self) -> None:
        """Open the socket. Raises SocketRefused."""
        self._server.start()
        self.remind_after(LOOK_S, Tick())

    def receive(self, message: Any) -> object:
        """Once a second: can it be reached? A successor opens it anew. Raises SocketGone."""
        match message:
            case Tick():
                self.remind_after(LOOK_S, Tick())
                if not self._server.reachable:
                    raise SocketGone(f"{self.wiring.socket}: removed, replaced, or its thread has ended")
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    def stopping(self) -> None:
        """Answer what was asked, then close."""
        self._server.stop()

    def perished(self) -> None:
        """A dead admin answers nobody."""
        self._server.stop(drain_s=0)

    def _dispatch(self, method: str, params: dict[str, object], caller: Caller) -> object:
        answer = METHODS.get(method)
        if answer is None:
            raise AdminError(METHOD_NOT_FOUND, f"method {method}: not known", {"known": sorted(METHODS)})
        secrets = self.recorder.secrets
        try:
            return secrets.hide_in(answer(self, Parameters(params), caller))
        except AdminError as error:
            raise AdminError(error.code, secrets.hide(error.message), secrets.hide_in(error.data)) from error
        except Unavailable as failure:
            raise AdminError(NOT_NOW, str(failure)) from failure
        except Unanswered as failure:
            raise AdminError(NOT_NOW, f"{failure}; it may still be carried out") from failure
        except DatabaseAway as away:
            raise AdminError(NOT_NOW, f"the database cannot be reached: {away}") from away


Method = Callable[[Answering, Parameters, Caller], object]
METHODS: dict[str, Method] = {
    "status": status.status,
    "positions": reading.positions,
    "position.show": reading.show,
    "position.open": positions.open_position,
    "position.close": positions.close,
    "position.set_stop": positions.set_stop,
    "position.set_trailing": positions.set_trailing,
    "position.release": positions.release,
    "close_all": kill_switch.close_all,
    "entries.pause": running.pause,
    "entries.resume": running.resume,
    "kill_switch.arm": kill_switch.arm,
    "kill_switch.confirm": kill_switch.confirm,
    "kill_switch.reset": kill_switch.reset,
    "signal.show": reading.signal,
    "signals": reading.signals,
    "reconcile": running.reconcile,
    "zombies.scan": zombies.scan,
    "actors": reading.actors,
    "actors.kill": running.kill,
    "events": reading.events,
    "alerts": alerts.alerts,
    "alerts.ack": alerts.acknowledge,
    "notify.test": alerts.trial,
    "events.follow": following.follow,
    "report": reports.report,
    "symbol.get": symbols.get,
    "symbol.set": symbols.change,
    "alerts_audit": symbols.audit,
    "settings.reload": settings.reload,
    "log.level": settings.log_level,
    "shutdown": running.shutdown,
}
