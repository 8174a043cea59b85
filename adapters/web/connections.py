"""Connections to the page: who asks for nothing is let go, and there is an upper bound.

Each holds a file descriptor of the process that trades, and a place among those that are answered: a thousand of them
that stay open without a word would leave none for the exchange, the database, or whoever asks `/live`.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

MOST = 128
ASKING_S = 10.0


class Connection(H11Protocol):
    """Has `ASKING_S` to say what it wants, each time anew. uvicorn bounds only its rests between two requests."""

    _watched = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by the loop; beyond `MOST` nobody is taken."""
        super().connection_made(transport)
        if len(self.connections) > MOST:
            transport.abort()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        """Called by the loop: a whole request or a part of one."""
        super().data_received(data)
        self._watch()

    @property
    def _asked(self) -> RequestResponseCycle | None:
        """The last request that came whole; there is none before the first."""
        return self.cycle

    def _watch(self) -> None:
        asked = self._asked
        if self._watched or self.transport.is_closing() or (asked is not None and not asked.response_complete):
            return
        self._watched = True
        self.loop.call_later(ASKING_S, self._look, asked)

    def _look(self, asked: RequestResponseCycle | None) -> None:
        self._watched = False
        if self._asked is asked:
            self.transport.abort()
        else:
            self._watch()
