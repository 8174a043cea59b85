"""Word to systemd, if it started us: ready, alive, stopping (sd_notify(3): datagrams to the socket it names).

Not being heard is no error of the service's: it is said once in the log, and trading goes on. WATCHDOG_USEC says how
often it wants to hear that all is well, if it does.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from loguru import logger

OFTEN = 4
"""Signs of life within the silence that would kill us."""


class ServiceManager:
    """What started us, as far as it wants to know how we are."""

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        """`address`: a path, or an abstract name that begins with '@'; None: nobody wants to know.

        `watchdog_s`: so long a silence, and we are killed; None: no such watch is kept.
        """
        self._address = address
        self._watchdog_s = watchdog_s
        self._patient = False
        self._socket: socket.socket | None = None
        if address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> ServiceManager:
        """The one that NOTIFY_SOCKET names; what WATCHDOG_USEC says may be meant for another process (WATCHDOG_PID)."""
        usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
        ours = usec.isdecimal() and int(usec) > 0 and pid in ("", str(os.getpid()))
        return cls(environ.get("NOTIFY_SOCKET") or None, int(usec) / 1_000_000 if ours else None)

    def watch_every_s(self, otherwise: float) -> float:
        """How often to look whether all is well: `otherwise`, or often enough for whoever waits to hear it."""
        return otherwise if self._watchdog_s is None else min(otherwise, self._watchdog_s / OFTEN)

    def ready(self, status: str) -> None:
        """The service does its work: others may start, and the watchdog counts from now on."""
        usual = f"\nWATCHDOG_USEC={round(self._watchdog_s * 1e6)}" if self._patient and self._watchdog_s else ""
        self._patient = False
        self._say(f"READY=1\nSTATUS={status}{usual}")

    def patience(self, seconds: float) -> None:
        """Something begins that nobody can watch; the watchdog waits this long for the next `ready`."""
        if self._watchdog_s is not None:
            self._patient = True
            self._say(f"WATCHDOG=1\nWATCHDOG_USEC={round(seconds * 1e6)}")

    def alive(self) -> None:
        """Keep the watchdog from biting; to be said only by who has just seen that all is well."""
        if self._watchdog_s is not None:
            self._say("WATCHDOG=1")

    def stopping(self, reason: str) -> None:
        """The end was asked for."""
        self._say(f"STOPPING=1\nSTATUS={reason}")

    def _say(self, message: str) -> None:
        if self._socket is None or self._address is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            self._socket.sendto(message.encode(), address)
        except OSError as error:
            logger.warning("SERVICE_MANAGER_DEAF address={} error={}", self._address, error)
            self._socket.close()
            self._socket = None
