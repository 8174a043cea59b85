"""The signal server of a simulation, and the client of it that a process has.

Like the real one it remembers what it sent: whoever says hello with the last id it stored gets all that came since.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from adapters.signals.client import BadFrame, FeedUp, News, NotReady, Signals
from persistence.database import DatabaseAway
from tests.simulation.scheduler import Host


class SignalServer:
    """All signals ever sent, and who listens."""

    def __init__(self) -> None:
        self.sent: list[dict[str, object]] = []
        self._listeners: list[tuple[Host, Callable[[News], object]]] = []

    def send(self, signal: dict[str, object], *, remembered: bool = True) -> None:
        """Send one signal to whoever listens. One that is delivered twice was sent once, and is remembered once."""
        if remembered and signal not in self.sent:
            self.sent.append(signal)
        self._tell(Signals(raw=(signal,)))

    def send_rubbish(self, text: str) -> None:
        """Send what is no frame."""
        self._tell(BadFrame(error="no JSON", begins=text))

    def listen(self, host: Host, last_id: str | None, hear: Callable[[News], object]) -> None:
        """Somebody says hello."""
        self._listeners.append((host, hear))
        hear(FeedUp(url="ws://signals"))
        ids = [str(signal["id"]) for signal in self.sent]
        missed = self.sent[len(ids) - ids[::-1].index(last_id) :] if last_id in ids else self.sent
        if missed:
            hear(Signals(raw=tuple(missed)))

    def _tell(self, news: News) -> None:
        self._listeners = [(host, hear) for host, hear in self._listeners if host.alive]
        for _, hear in self._listeners:
            hear(news)


class SimulatedSignalClient:
    """`adapters.signals.client.SignalClient`."""

    def __init__(self, server: SignalServer, host: Host, last_id: Callable[[], str | None]) -> None:
        self._server = server
        self._host = host
        self._last_id = last_id

    def watch(self) -> AsyncIterator[News]:
        """Frames as they come."""
        return self._frames()

    async def _frames(self) -> AsyncIterator[News]:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[News] = asyncio.Queue()

        def hear(news: News) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(arrived.put_nowait, news)

        await self._hello(loop, hear)
        while True:
            yield await arrived.get()

    async def _hello(self, loop: asyncio.AbstractEventLoop, hear: Callable[[News], object]) -> None:
        while True:
            try:
                last = await loop.run_in_executor(None, self._last_id)
            except (DatabaseAway, NotReady):
                await asyncio.sleep(0.5)
            else:
                self._server.listen(self._host, last, hear)
                return
