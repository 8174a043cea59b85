"""JSON as INTERFACE has it: exact numbers as decimal text, times in UTC with a Z, nothing that could be a secret."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer
from starlette.responses import JSONResponse

from domain.decimals import plain


def moment(value: datetime) -> str:
    """A time as it goes over the wire."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Money = Annotated[Decimal, PlainSerializer(plain, return_type=str)]
Time = Annotated[datetime, PlainSerializer(moment, return_type=str)]
Loose = Annotated[dict[str, Any], BeforeValidator(lambda value: json.loads(encoded(value)))]
"""What has no fixed fields, in the same form."""


def encoded(value: object) -> str:
    """Raises TypeError for what has no JSON form."""
    return json.dumps(value, default=_plain, allow_nan=False, separators=(",", ":"))


def _plain(value: object) -> object:
    match value:
        case Decimal():
            return plain(value)
        case datetime():
            return moment(value)
        case Enum():
            return value.value
        case Mapping():
            return dict(value)
        case set() | frozenset() | tuple():
            return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def hiding(hide: Callable[[str], str]) -> type[JSONResponse]:
    """The class of all JSON answers: what leaves has been looked through for secrets once more."""

    class HidingResponse(JSONResponse):
        def render(self, content: Any) -> bytes:
            return hide(encoded(content)).encode()

    return HidingResponse
