"""How a Bybit REST endpoint is declared: its right, its limit, its handler; and the pages of long lists."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from adapters.paper_exchange.bybit_errors import invalid
from adapters.paper_exchange.bybit_params import Params

Row = dict[str, Any]
_Item = TypeVar("_Item")
_CURSOR: Final = "page_token%3D"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint. `per_second` is the limit on an account, 0 for the public ones; `mutates`: the reply waits for the
    disk."""

    handler: Callable[[Params], Row]
    per_second: int = 0
    mutates: bool = False

    @property
    def signed(self) -> bool:
        """True for the account's own endpoints."""
        return self.per_second > 0


Routes = Mapping[tuple[str, str], Endpoint]


def page_after(
    params: Params, items: Sequence[_Item], key: Callable[[_Item], int], *, default: int, largest: int
) -> tuple[list[_Item], str]:
    """A page of items, newest first, and the cursor behind it.

    Like the venue's, the cursor is empty only after an empty page. It names the last item seen, so that what comes in
    meanwhile shifts nothing.
    """
    before = _token(params)
    newest_first = sorted(items, key=key, reverse=True)
    page = [item for item in newest_first if before is None or key(item) < before][: params.limit(default, largest)]
    return page, f"{_CURSOR}{key(page[-1])}%26" if page else ""


def page_at(params: Params, items: Sequence[_Item], *, default: int, largest: int) -> tuple[list[_Item], str]:
    """A page of items in their own order, and the cursor behind it, empty at the end.

    The cursor counts items: what comes or goes meanwhile moves the pages, as it does on the venue.
    """
    start, length = _token(params) or 0, params.limit(default, largest)
    end = start + length
    return list(items[start:end]), f"{_CURSOR}{end}%26" if end < len(items) else ""


def _token(params: Params) -> int | None:
    cursor = params.text_or("cursor").replace("%3D", "=").replace("%26", "&")
    if not cursor:
        return None
    text = cursor.removeprefix("page_token=").removesuffix("&")
    if not text.isascii() or not text.isdigit():
        raise invalid("cursor")
    return int(text)
