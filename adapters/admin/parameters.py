"""Reading a request's parameters: each by name and type, and in the end nothing left over.

What is wrong is answered with -32602 and names parameter, value and rule. Values may come typed (from a program) or as
text (from the command line): `id=17`, `"17"` and 17 mean the same.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from adapters.admin.protocol import INVALID_PARAMS, AdminError

T = TypeVar("T")

TRUE = ("true", "yes", "1")
FALSE = ("false", "no", "0")
# Beyond any price, quantity or time; keeps a mistyped exponent from filling the memory.
MAX_DIGITS = 40


class Parameters:
    """Takes parameters one by one. Each method raises AdminError -32602, or gives None for one that is absent."""

    def __init__(self, params: Mapping[str, object]) -> None:
        self._left = dict(params)
        self._known: list[str] = []

    def text(self, name: str) -> str | None:
        value = self._take(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal) or value == "":
            raise refused(name, value, "must be text")
        return str(value)

    def choice(self, name: str, *options: str) -> str | None:
        """One of the options, upper or lower case; given back as the option is spelled."""
        value = self.text(name)
        if value is None:
            return None
        found = next((option for option in options if option.lower() == value.lower()), None)
        if found is None:
            raise refused(name, value, f"must be one of {', '.join(options)}")
        return found

    def whole(self, name: str, *, least: int = 0, most: int = 2**53) -> int | None:
        """A whole number from `least` to `most`."""
        value = self.number(name)
        if value is None:
            return None
        if value != value.to_integral_value() or not least <= value <= most:
            raise refused(name, value, f"must be a whole number from {least} to {most}")
        return int(value)

    def positive(self, name: str) -> Decimal | None:
        """A price, a quantity, an amount: exact and above 0."""
        value = self.number(name)
        if value is not None and value <= 0:
            raise refused(name, value, "must be greater than 0")
        return value

    def number(self, name: str) -> Decimal | None:
        """An exact, finite number."""
        value = self._take(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise refused(name, value, "must be a number")
        try:
            number = Decimal(value)
        except InvalidOperation:
            raise refused(name, value, "must be a number") from None
        if not number.is_finite():
            raise refused(name, value, "must be a finite number")
        if abs(number.adjusted()) > MAX_DIGITS or len(number.as_tuple().digits) > MAX_DIGITS:
            raise refused(name, value, f"must have at most {MAX_DIGITS} digits")
        return number

    def rows(self, name: str, *columns: str) -> list[dict[str, Decimal]] | None:
        """A list of objects, each with numbers above 0 under some of these names and nothing else."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(row, Mapping) for row in value):
            raise refused(name, value, f"must be a list of objects with {', '.join(columns)}")
        rows: list[dict[str, Decimal]] = []
        for number, row in enumerate(value):
            left = Parameters({f"{name}[{number}].{key}": each for key, each in row.items()})
            found = {column: left.positive(f"{name}[{number}].{column}") for column in columns}
            left.done()
            rows.append({column: each for column, each in found.items() if each is not None})
        return rows

    def flag(self, name: str) -> bool | None:
        value = self._take(name)
        if value is None or isinstance(value, bool):
            return value
        text = str(value).lower()
        if text not in TRUE + FALSE:
            raise refused(name, value, "must be true or false")
        return text in TRUE

    def moment(self, name: str) -> datetime | None:
        """A time with its zone, as ISO-8601."""
        value = self._take(name)
        if value is None:
            return None
        rule = "must be a time such as 2026-01-31T12:00:00Z"
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            raise refused(name, value, rule) from None
        if moment is None or moment.tzinfo is None:
            raise refused(name, value, rule)
        return moment.astimezone(UTC)

    def rest(self, *names: str) -> dict[str, str]:
        """Whatever else was given, by name, as text; each must be one of `names`."""
        found = {name: self.text(name) for name in names if name in self._left}
        self._known += [name for name in names if name not in self._known]
        return {name: text for name, text in found.items() if text is not None}

    def done(self) -> None:
        """To be called last: refuses what no one has asked for."""
        for name, value in self._left.items():
            known = f"; known here: {', '.join(self._known)}" if self._known else "; this method takes none"
            raise refused(name, value, f"is not a parameter of this method{known}")

    def _take(self, name: str) -> object:
        self._known.append(name)
        return self._left.pop(name, None)


def required(name: str, value: T | None) -> T:
    """The value of a parameter that must be there. Raises AdminError -32602."""
    if value is None:
        raise AdminError(INVALID_PARAMS, f"{name} is required", {"parameter": name, "rule": "is required"})
    return value


def refused(name: str, value: object, rule: str) -> AdminError:
    """The answer to a parameter that breaks its rule."""
    shown = str(value)
    shown = shown if len(shown) <= 100 else shown[:97] + "..."
    return AdminError(INVALID_PARAMS, f"{name} = {shown}: {rule}", {"parameter": name, "value": shown, "rule": rule})
