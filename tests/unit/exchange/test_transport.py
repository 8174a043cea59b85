"""What a request carries with it: in its own context only, and only as long as it lasts."""

from __future__ import annotations

import contextvars
from collections.abc import Generator

import pytest

from adapters.exchange.transport import _CURRENT, _LOOK, last_look, receipt


async def _request() -> None:
    with last_look(lambda: "no"), receipt():
        await _never()


class _never:  # noqa: N801 - awaited like a function
    def __await__(self) -> Generator[None, None, None]:
        yield


def test_what_a_request_carried_is_put_back_after_it() -> None:
    outer = lambda: None  # noqa: E731 - only its identity counts
    with last_look(outer):
        with pytest.raises(KeyError), last_look(lambda: "no"):
            raise KeyError
        assert _LOOK.get() is outer
    assert _LOOK.get() is None


def test_a_request_that_is_thrown_away_changes_nothing_where_that_happens() -> None:
    """Its loop is gone, and whoever collects it does so in a context of his own: that was an error in his log."""
    request = _request()
    contextvars.Context().run(request.send, None)
    mine = lambda: None  # noqa: E731 - only its identity counts
    with last_look(mine):
        request.close()
        assert _LOOK.get() is mine
        assert _CURRENT.get() is None
