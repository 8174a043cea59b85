"""What a law is to the judge."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from tests.oracle.book import Book
from tests.oracle.court import Court
from tests.oracle.facts import Fact
from tests.oracle.measures import Measures
from tests.oracle.reader import AnyLine

Ears = dict[type[Fact], Callable[..., None]]
"""Which method takes which kind of fact."""


class Law:
    """A law hears facts; `hears` names the methods by the kind of fact, which is all that the judge calls."""

    name: ClassVar[str]

    def __init__(self, book: Book, court: Court, measures: Measures) -> None:
        self.book = book
        self.court = court
        self.measures = measures

    def hears(self) -> Ears:
        """Which method takes which fact."""
        raise NotImplementedError

    def over(self) -> None:
        """The timeline has ended."""

    def breach(self, at: int, symbol: str, text: str, *lines: AnyLine) -> None:
        """Bring a breach of this law."""
        self.court.breach(self.name, at, symbol, text, *lines)
