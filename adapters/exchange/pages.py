"""Lists that a venue gives page by page: read to the end, and read again when they changed underneath (LAWS S11).

A list that changes between two of its pages can show a row twice or not at all. So when more than one page had rows the
reading is trusted only if no row came twice and the first page, asked for again at the end, still names the same rows.
A page that is not full is not taken for the last: only the venue's word, an empty cursor or an empty page, ends a list.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any

from adapters.exchange.rows import Row, read
from adapters.exchange.venue import BadReply

READINGS = 3
MOST_PAGES = 500

Ask = Callable[[dict[str, Any]], Awaitable[Any]]
Parse = Callable[[Any], tuple[list[Row], str]]


async def whole_list(
    ask: Ask, request: dict[str, Any], page_of: Parse, key: Callable[[Row], Hashable]
) -> list[Row]:
    """All rows of `request`. `page_of`: a reply's rows and the cursor of the next page; `key`: what names a row.

    Raises BadReply if the list changed underneath in each of three readings.
    """
    for _ in range(READINGS):
        rows = await _reading(ask, request, page_of, key)
        if rows is not None:
            return rows
    raise BadReply(f"the pages of {request} changed underneath in {READINGS} readings")


async def _reading(
    ask: Ask, request: dict[str, Any], page_of: Parse, key: Callable[[Row], Hashable]
) -> list[Row] | None:
    """One reading; None when it cannot be trusted."""
    page, cursor = read(page_of, await ask(request))
    pages = [page]
    while cursor and page:
        if len(pages) == MOST_PAGES:
            raise BadReply(f"{request}: more than {MOST_PAGES} pages")
        page, cursor = read(page_of, await ask({**request, "cursor": cursor}))
        pages.append(page)
    rows = [row for each in pages for row in each]
    keys = read(_keys, rows, key)
    if len(set(keys)) < len(keys):
        return None
    if len(rows) == len(pages[0]):
        return rows
    again, _ = read(page_of, await ask(request))
    return rows if read(_keys, again, key) == keys[: len(pages[0])] else None


def _keys(rows: list[Row], key: Callable[[Row], Hashable]) -> list[Hashable]:
    return [key(row) for row in rows]
