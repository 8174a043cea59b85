"""How an exact decimal is written: in one form, wherever it came from.

A price that was read from the venue carries its zeros (63215.40), one that was computed may not, or may carry an
exponent. Whoever compares texts must not see a difference that is none, so what is shown, told and stored in events is
written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal


def plain(value: Decimal) -> str:
    """Every digit that says something: no zeros at the end, no exponent, no sign before zero."""
    if not value:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def text_of(value: object) -> str:
    """A figure in words: a decimal as such, all else as it writes itself."""
    return plain(value) if isinstance(value, Decimal) else str(value)


def plainly(value: object) -> object:
    """`value` with each decimal in it, however deep, as text; all else as it is."""
    match value:
        case Decimal():
            return plain(value)
        case Mapping():
            return {key: plainly(each) for key, each in value.items()}
        case list() | tuple():
            return [plainly(each) for each in value]
    return value
