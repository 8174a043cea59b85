"""A ticket says when a record has become durable: the gateway holds an intent's and waits for it before it sends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from domain.records import Record


class Ticket:
    """Settled once, by the journal (database or spool) or by the gateway's own write to the spool. Thread-safe."""

    def __init__(self, record: Record, before: Ticket | None = None) -> None:
        """For a record that is on its way to the journal. `before`: that of the same position's record before it."""
        self.record = record
        self._before = before
        self._lock = threading.Lock()
        self._settled = False
        self._refused = False
        self._waiting: list[Callable[[], object]] = []

    @property
    def settled(self) -> bool:
        """Whether the record is durable."""
        return self._settled

    @property
    def refused(self) -> bool:
        """Whether the database took the record for impossible: what adds risk must not be built on it."""
        return self._refused

    def unsettled(self) -> list[Ticket]:
        """This ticket and those before it that are not durable either, oldest first.

        A state is durable with all that led to it or not at all: what one record alone would tell, a fill or its
        event, would be lost with the process while the state that knows of it survives.
        """
        waiting: list[Ticket] = []
        ticket: Ticket | None = self
        while ticket is not None and not ticket.settled:
            waiting.append(ticket)
            ticket = ticket._before
        return waiting[::-1]

    def settle(self, *, refused: bool = False) -> None:
        """The record is durable: call everybody who waits, in this thread. Twice is once.

        `refused`: not in the database, which will never take it, but where it was put aside.
        """
        with self._lock:
            if self._settled:
                return
            self._refused = refused
            self._settled = True
            self._before = None
            waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()

    async def wait(self, seconds: float) -> bool:
        """Wait on an event loop; False if the record is not durable after so many seconds."""
        loop = asyncio.get_running_loop()
        durable = asyncio.Event()

        def wake() -> None:
            # Whoever waited may have died with its loop: that is no fault of the one who settles.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(durable.set)

        with self._lock:
            if self._settled:
                return True
            self._waiting.append(wake)
        try:
            await asyncio.wait_for(durable.wait(), seconds)
        except TimeoutError:
            return self._settled
        return True
