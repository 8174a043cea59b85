"""Questions asked beside the event loop: on daemon threads, a few at a time, and never waited for without end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from loguru import logger

from adapters.web.source import NotNow

T = TypeVar("T")
AT_ONCE = 6
LIMIT_S = 12.0


class Errands:
    """One server's. A thread that hangs keeps its place until it ends, so that hung ones cannot pile up."""

    def __init__(self, at_once: int = AT_ONCE, limit_s: float = LIMIT_S) -> None:
        """So many run at one time; `limit_s` is all that anybody waits, turn included."""
        self._turns = asyncio.Semaphore(at_once)
        self._limit_s = limit_s

    async def run(self, call: Callable[[], T]) -> T:
        """What the call returns or raises. Raises NotNow when that takes too long."""
        try:
            async with asyncio.timeout(self._limit_s):
                await self._turns.acquire()
                return await self._begin(call)
        except TimeoutError:
            raise NotNow(f"no answer within {self._limit_s:g} s") from None

    def _begin(self, call: Callable[[], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()

        def settle(done: Callable[[], None]) -> None:
            self._turns.release()
            if not outcome.done():
                done()

        def work() -> None:
            try:
                result = call()
            except Exception as raised:  # noqa: BLE001 - handed on to who waits, who classifies it
                error = raised
                done = lambda: outcome.set_exception(error)  # noqa: E731
            else:
                done = lambda: outcome.set_result(result)  # noqa: E731
            try:
                loop.call_soon_threadsafe(settle, done)
            except RuntimeError:
                logger.debug("WEB_ANSWER_LOST the server closed meanwhile")

        try:
            threading.Thread(target=work, name="web-errand", daemon=True).start()
        except RuntimeError as full:
            self._turns.release()
            raise NotNow(f"no thread can be had: {full}") from full
        return outcome
