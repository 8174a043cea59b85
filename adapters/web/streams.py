"""Server-sent events for open pages: one look a second for all of them, and none while nobody looks.

Rules of this file: a page that does not read costs its own bounded queue only, and gets the whole picture anew when it
reads again; at most so many pages are kept up to date at one time; at a stop every page's queue ends with a sentinel,
so that no connection holds the stop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from loguru import logger

from adapters.web.errands import Errands
from adapters.web.plain import encoded
from adapters.web.source import NotNow, Plain, Source

EVERY_S = 1.0
WAITING = 16
SILENCE_S = 15.0
RETRY_MS = 2000


class Page:
    """One open page's queue."""

    def __init__(self) -> None:
        """Nothing has been sent yet."""
        self._queue: asyncio.Queue[str | None] = asyncio.Queue(WAITING)
        self.behind = True
        """Whether it needs the whole picture next."""

    def put(self, text: str) -> None:
        """Give it something, or, when it does not read, take back what waits: it gets the whole picture later."""
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            self._empty()
            self.behind = True

    def end(self) -> None:
        """Nothing more comes."""
        self._empty()
        self._queue.put_nowait(None)

    def _empty(self) -> None:
        while not self._queue.empty():
            self._queue.get_nowait()

    async def texts(self) -> AsyncIterator[str]:
        """What goes over the wire, a comment now and then, so that a page that has gone is noticed."""
        yield f"retry: {RETRY_MS}\n\n"
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    text = await self._queue.get()
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if text is None:
                return
            yield text


class Streams:
    """All open pages. Lives on the server's loop."""

    def __init__(self, source: Source, errands: Errands, hide: Callable[[str], str], *, most: int) -> None:
        """`most` pages at one time."""
        self._source = source
        self._errands = errands
        self._hide = hide
        self._most = most
        self._pages: set[Page] = set()
        self._positions: dict[int, Plain] = {}
        self._since: int | None = None
        self._wanted = asyncio.Event()
        self._ended = False

    @property
    def count(self) -> int:
        """How many pages are open."""
        return len(self._pages)

    def open(self) -> Page | None:
        """A place for one more page; None: all are taken, or the server stops."""
        if self._ended or len(self._pages) >= self._most:
            return None
        page = Page()
        self._pages.add(page)
        self._wanted.set()
        return page

    def close(self, page: Page) -> None:
        """It has gone."""
        self._pages.discard(page)

    def end(self) -> None:
        """Let all pages go."""
        self._ended = True
        self._wanted.set()
        for page in self._pages:
            page.end()

    async def run(self) -> None:
        """Look once a second as long as anybody looks on; ends with `end`."""
        while not self._ended:
            if not self._pages:
                self._wanted.clear()
                self._since = None
                await self._wanted.wait()
                continue
            began = asyncio.get_running_loop().time()
            await self._look()
            left = EVERY_S - (asyncio.get_running_loop().time() - began)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(left, 0.1)):
                    await self._news_of_an_opening()

    async def _news_of_an_opening(self) -> None:
        """Returns when a page opened, so that its first picture does not wait for the next round."""
        self._wanted.clear()
        await self._wanted.wait()

    async def _look(self) -> None:
        try:
            picture = await self._errands.run(self._source.picture)
            picture, news = await self._with_news(picture)
            self._spread(picture, news)
        except NotNow as why:
            self._tell("trouble", {"reason": str(why)})
        except Exception as error:  # noqa: BLE001 - one look that failed must not end the stream of all pages
            logger.opt(exception=error).error("WEB_LOOK_FAILED error={}", type(error).__name__)
            for page in self._pages:
                page.behind = True
            self._tell("trouble", {"reason": f"looking failed: {type(error).__name__}; the log has it whole"})

    async def _with_news(self, picture: Plain) -> tuple[Plain, list[Any]]:
        """What is known from memory is shown, database or not."""
        since = self._since
        try:
            news = await self._errands.run(lambda: self._source.news(since))
        except NotNow as why:
            return {**picture, "events_missing": str(why)}, []
        self._since = news["next_since"]
        return picture, news["events"]

    def _spread(self, picture: Plain, events: list[Any]) -> None:
        now = {each["id"]: each for each in picture["positions"]}
        changed = [each for key, each in now.items() if self._positions.get(key) != each]
        gone = [key for key in self._positions if key not in now]
        self._positions = now
        step = self._text("step", {**picture, "positions": changed, "gone": gone})
        told = self._text("events", {"events": events}) if events else None
        whole: str | None = None
        for page in tuple(self._pages):
            if page.behind:
                whole = whole or self._text("picture", picture)
                page.behind = False
                page.put(whole)
            else:
                page.put(step)
            if told is not None:
                page.put(told)

    def _tell(self, name: str, data: Plain) -> None:
        text = self._text(name, data)
        for page in tuple(self._pages):
            page.put(text)

    def _text(self, name: str, data: Plain) -> str:
        return f"event: {name}\ndata: {self._hide(encoded(data))}\n\n"
