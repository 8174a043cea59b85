"""Where a process is that waits for its accounts: it answers `ctl status`, and tells who started it that it is well."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime

from loguru import logger

from actors.clock import Clock
from actors.taking_over import Waiting
from adapters.admin.protocol import NOT_NOW, AdminError, Caller
from adapters.admin.server import AdminServer
from adapters.service_manager import ServiceManager
from config.settings import Settings


class WaitingRoom:
    """From `open` to `close`. `tell` says what is waited for."""

    def __init__(
        self, settings: Settings, version: str, clock: Clock, manager: ServiceManager, stop: Callable[[str], object]
    ) -> None:
        """`stop` ends the process in order, for an operator who asks."""
        self._settings = settings
        self._version = version
        self._clock = clock
        self._manager = manager
        self._stop = stop
        self._began: datetime = clock.now()
        self._waiting: Waiting | None = None
        self._server: AdminServer | None = None

    def open(self) -> None:
        """Serve the control socket. Raises SocketRefused."""
        if self._settings.admin.enabled:
            socket = self._settings.admin_socket
            self._server = AdminServer(socket, self._answer, max_clients=self._settings.admin.max_clients)
            self._server.start()

    def close(self) -> None:
        """Leave the socket to the service."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def tell(self, waiting: Waiting) -> None:
        """What is waited for now: in the log, to systemd, to whoever asks."""
        self._waiting = waiting
        if waiting.account is None:
            logger.warning("STANDING_BY for={!r}", waiting.holder)
        else:
            logger.warning("RUN_LOCKED account={} holder={!r} standing_by=true", waiting.account, waiting.holder)
        self._manager.ready(f"standing by for {waiting.account or 'the database'}, pid {os.getpid()}: {waiting.holder}")

    def alive(self) -> None:
        """The waiting goes on."""
        self._manager.alive()

    def _answer(self, method: str, params: dict[str, object], _: Caller) -> object:
        if method == "shutdown":
            self._stop("ctl shutdown")
            return {"stays": "nothing of this process: it was standing by"}
        if method != "status":
            raise AdminError(NOT_NOW, f"{method}: {self._why()}", {"standby": self._shown()})
        if params:
            raise AdminError(NOT_NOW, "status takes no parameters", {"given": sorted(params)})
        accounts = self._settings.accounts
        return {
            "mode": self._settings.service.mode,
            "dry_run": self._settings.service.dry_run,
            "version": self._version,
            "uptime_s": int((self._clock.now() - self._began).total_seconds()),
            "standby": self._shown(),
            "accounts": [
                {"name": name, "exchange": account.exchange, "term": None, "positions": 0}
                for name, account in accounts.items()
            ],
            "components": [],
            "positions": 0,
            "unprotected_now": 0,
            "unprotected_seconds_today": None,
            "entries": {"open": False, "why": dict.fromkeys(accounts, self._why())},
        }

    def _why(self) -> str:
        waiting = self._waiting
        if waiting is None:
            return "standing by: taking over"
        since = f" since {waiting.since}" if waiting.since else ""
        return f"standing by: {waiting.account or 'all accounts'} waits for {waiting.holder}{since}"

    def _shown(self) -> dict[str, object]:
        waiting = self._waiting
        return {
            "account": None if waiting is None else waiting.account,
            "holder": None if waiting is None else waiting.holder,
            "held_since": None if waiting is None else waiting.since or None,
            "since": self._began,
        }
