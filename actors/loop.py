"""An event loop on a thread of its own, owned by one actor: what waits for the network waits there, never the actor.

Lives and dies with its actor: `close` is called from `stopping` and from `perished`, and may be called twice.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from loguru import logger

T = TypeVar("T")
GOODBYE_S = 1.0


class EventLoop:
    """Start with `start()`; submit coroutines or calls from any thread."""

    def __init__(self, name: str) -> None:
        """`name` is the thread's."""
        self._name = name
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._closed = False
        self._closing: asyncio.Task[None] | None = None
        self._last: Callable[[], Coroutine[Any, Any, object]] | None = None

    def start(self) -> None:
        """Run the loop."""
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop; its end, result or error, is in the future."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, function: Callable[..., object], *arguments: object) -> bool:
        """Call a plain function on the loop, soon; False if the loop is closed."""
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            return False
        return True

    def close(self, seconds: float = 2.0, last: Callable[[], Coroutine[Any, Any, object]] | None = None) -> bool:
        """Cancel everything on the loop, run `last` on it and end its thread; False if it was not done in time."""
        if not self._closed:
            self._closed, self._last = True, last
            self.call(self._cancel_all)
        if threading.current_thread() is not self._thread and self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._closing = self._loop.create_task(self._stop_after(tasks))

    async def _stop_after(self, tasks: set[asyncio.Task[Any]]) -> None:
        if tasks:
            await asyncio.wait(tasks, timeout=GOODBYE_S)
        try:
            if self._last is not None:
                async with asyncio.timeout(GOODBYE_S):
                    await self._last()
        except Exception as error:  # noqa: BLE001 - the loop ends all the same
            logger.warning("LOOP_UNCLEAN name={} error={!r}", self._name, error)
        self._loop.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()
