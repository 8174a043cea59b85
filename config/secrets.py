"""What must never be read anywhere: secrets, taken out of text and of plain values before these go to any sink."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = "***"
SHORTEST = 6
"""What is shorter stands in half of all words."""


class Secrets:
    """Immutable; called from any thread."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Of two secrets of which one holds the other the longer one goes first."""
        kept = {secret for secret in secrets if len(secret) >= SHORTEST}
        self._secrets = tuple(sorted(kept, key=len, reverse=True))

    def __bool__(self) -> bool:
        """Whether there is anything to hide."""
        return bool(self._secrets)

    def inside(self, text: str) -> bool:
        """Whether any of them stands in the text."""
        return any(secret in text for secret in self._secrets)

    def hide(self, text: str) -> str:
        """The text with stars in the place of each."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def hide_in(self, value: Any) -> Any:
        """A plain value with stars in the place of each, in keys too; what holds none is given back as it is."""
        match value:
            case str():
                return self.hide(value) if self.inside(value) else value
            case Mapping() if self._secrets and self.inside(repr(value)):
                return {self.hide(str(key)): self.hide_in(each) for key, each in value.items()}
            case list() | tuple() if self._secrets and self.inside(repr(value)):
                return [self.hide_in(each) for each in value]
        return value
