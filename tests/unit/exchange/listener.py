"""Reads a stream beside a test, so that it can wait for the next piece of news, or the next of a kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

PATIENCE_S = 10.0
News = TypeVar("News")


class Listener:
    """The news of one stream, in order. `task` ends with the stream."""

    def __init__(self, news: AsyncIterator[Any]) -> None:
        self._heard: asyncio.Queue[Any] = asyncio.Queue()
        self.task = asyncio.create_task(self._listen(news))

    async def _listen(self, news: AsyncIterator[Any]) -> None:
        async for item in news:
            self._heard.put_nowait(item)

    async def next(self) -> Any:
        """The next piece of news. Raises TimeoutError."""
        return await asyncio.wait_for(self._heard.get(), PATIENCE_S)

    async def until(self, kind: type[News]) -> News:
        """The next piece of news of a kind; what comes before it is dropped. Raises TimeoutError."""
        while True:
            item = await self.next()
            if isinstance(item, kind):
                return item

    def waiting(self) -> int:
        """How many pieces of news nobody has read."""
        return self._heard.qsize()
