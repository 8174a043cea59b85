"""Every other service, by an address of apprise's: imported with the first message, as it loads a hundred services."""

from __future__ import annotations

import logging
import re
from typing import Any

from adapters.channels.interface import Message, NotDelivered

CONNECT_S, ANSWER_S = 3, 7
UNKNOWN = "apprise knows no such address"
_ADDRESS = re.compile(r"\S+://\S+")


class AnyService:
    """One address."""

    tag = "NOTICE"

    def __init__(self, name: str, address: str) -> None:
        """Whether apprise knows such an address shows with the first message."""
        self.name = name
        more = f"cto={CONNECT_S}&rto={ANSWER_S}"
        self._address = f"{address}{'&' if '?' in address else '?'}{more}"

    @property
    def known(self) -> bool:
        """Whether apprise knows such an address; slow the first time."""
        import apprise

        return bool(apprise.Apprise().add(self._address))

    def deliver(self, message: Message) -> None:
        """See `Channel`."""
        import apprise

        service = apprise.Apprise()
        if not service.add(self._address):
            raise NotDelivered(UNKNOWN)
        capture: Any = apprise.LogCapture
        with capture(level=logging.WARNING) as said:
            taken: Any = service.notify(body=message.text, title=f"Holdfast {message.severity.name}")
        if not taken:
            raise NotDelivered(_reason(said.getvalue()))


def _reason(said: str) -> str:
    """The last thing that apprise said, without addresses: they hold keys."""
    lines = [line for line in said.splitlines() if line.strip()]
    return _ADDRESS.sub("an address", lines[-1].strip()) if lines else "the service did not take it"
