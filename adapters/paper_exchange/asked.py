"""The fields of a control request, typed; what is missing or absurd is refused by name, value and rule."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, TypeVar

_Choice = TypeVar("_Choice", bound=StrEnum)


class ControlError(Exception):
    """A control request that makes no sense; the text names what and why."""


class Asked:
    """The JSON object of a request."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        """A text that is not empty."""
        value = self.values.get(name, default)
        if not isinstance(value, str) or not value:
            raise ControlError(f"{name}={value!r}: must be a text")
        return value

    def whole(self, name: str, default: int | None = None, *, least: int | None = None) -> int:
        """A whole number, not below `least`."""
        value = self.values.get(name, default)
        try:
            number = int(str(value))
        except ValueError:
            raise ControlError(f"{name}={value!r}: must be a whole number") from None
        if least is not None and number < least:
            raise ControlError(f"{name}={number}: must be at least {least}")
        return number

    def share(self, name: str, default: int | None = None) -> int:
        """A percentage, 0 to 100."""
        number = self.whole(name, default, least=0)
        if number > 100:
            raise ControlError(f"{name}={number}: must be 0 to 100 percent")
        return number

    def decimal(self, name: str) -> Decimal:
        """A finite decimal."""
        try:
            value = Decimal(str(self.values.get(name)))
        except InvalidOperation:
            raise ControlError(f"{name}={self.values.get(name)!r}: must be a decimal number") from None
        if not value.is_finite():
            raise ControlError(f"{name}={value}: must be finite")
        return value

    def positive(self, name: str) -> Decimal:
        """A decimal above 0."""
        value = self.decimal(name)
        if value <= 0:
            raise ControlError(f"{name}={value}: must be above 0")
        return value

    def flag(self, name: str, default: bool | None = None) -> bool:
        """True or false."""
        value = self.values.get(name, default)
        if not isinstance(value, bool):
            raise ControlError(f"{name}={value!r}: must be true or false")
        return value

    def choice(self, name: str, choices: type[_Choice], default: str | None = None) -> _Choice:
        """One of an enumeration, in any case of letters."""
        value = self.text(name, default).upper()
        try:
            return choices(value)
        except ValueError:
            raise ControlError(f"{name}={value!r}: must be one of {', '.join(choices)}") from None

    def texts(self, name: str) -> dict[str, str]:
        """An object of texts, empty if absent."""
        value = self.values.get(name, {})
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            raise ControlError(f"{name}={value!r}: must be an object of texts")
        return dict(value)
