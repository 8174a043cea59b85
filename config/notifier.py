"""The section [notifier]: channels, what each of them carries, standing alerts, digest, heartbeat.

A channel's address holds its key, so addresses are secrets: only from the environment
(HOLDFAST_NOTIFIER__URLS__NAME) or the secrets file ([notifier.urls]).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from config.fields import (
    HOT,
    Flag,
    PercentOrOff,
    PositiveOrOff,
    Seconds,
    SecondsOrOff,
    Section,
    Whole,
    http_url,
)

CHANNEL_NAME = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"
SHORTEST_KEY, SHORTEST_PATH = 8, 16
MAIL = ("smtp", "smtps", "mailto", "mailtos")  # where what is asked for are people
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_TELEGRAM = re.compile(r"tgram://\d+:[\w-]{5,}/(-?\d+|@\w+)/?")


def _channel_address(value: SecretStr) -> SecretStr:
    address = value.get_secret_value()
    if not _ADDRESS.fullmatch(address):
        raise ValueError("must be an address such as tgram://BOT_TOKEN/CHAT, slack+https://…, https://…, smtp://…")
    if address.lower().startswith("tgram:") and not _TELEGRAM.fullmatch(address):
        raise ValueError("must be tgram://BOT_TOKEN/CHAT, with one chat's number or @name")
    return value


def _heartbeat_address(value: SecretStr) -> SecretStr:
    http_url(value.get_secret_value())
    return value


ChannelName = Annotated[str, Field(max_length=32, pattern=CHANNEL_NAME)]
ChannelAddress = Annotated[SecretStr, AfterValidator(_channel_address)]


class Route(Section):
    """What a channel carries: all that is at least so grave, and of these types where some are named."""

    channel: str
    severity: Literal["info", "warning", "error", "critical"] = "info"
    types: tuple[Annotated[str, Field(pattern=r"^[a-z_]+$")], ...] = ()


class Notifier(Section):
    routine: Annotated[Flag, HOT] = False
    urls: dict[ChannelName, ChannelAddress] = Field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    telegram_url: Annotated[str, AfterValidator(http_url)] = "https://api.telegram.org"
    group_window_s: SecondsOrOff = 30.0
    max_per_minute: Annotated[Whole, Field(ge=1, le=1000)] = 20
    repeat_minutes: Annotated[SecondsOrOff, HOT] = 30.0
    unprotected_s: Annotated[Seconds, HOT] = 5.0
    opening_success_pct: Annotated[PercentOrOff, HOT] = Decimal(50)
    signal_feed_minutes: Annotated[SecondsOrOff, HOT] = 60.0
    stream_down_s: Annotated[Seconds, HOT] = 30.0
    database_down_s: Annotated[Seconds, HOT] = 10.0
    balance_low_usd: Annotated[PositiveOrOff, HOT] = Decimal(50)
    digest_hour: Annotated[Whole, Field(ge=-1, le=23), HOT] = 7
    heartbeat_url: Annotated[SecretStr, AfterValidator(_heartbeat_address)] = SecretStr("")
    heartbeat_every_s: Annotated[Seconds, Field(ge=1)] = 60.0

    @model_validator(mode="after")
    def _routes_lead_somewhere(self) -> Self:
        for route in self.routes:
            if route.channel not in self.urls:
                known = ", ".join(self.urls) or "none"
                raise ValueError(
                    f"routes: {route.channel} has no address (those with one: {known}): "
                    f"set HOLDFAST_NOTIFIER__URLS__{route.channel.upper()} or service.secrets_file"
                )
        return self

    def secrets(self) -> tuple[str, ...]:
        """The addresses, and whatever in them may be a key."""
        addresses = [address.get_secret_value() for address in self.urls.values()]
        if self.heartbeat_url.get_secret_value():
            addresses.append(self.heartbeat_url.get_secret_value())
        return tuple(dict.fromkeys(part for address in addresses for part in _keys_in(address)))


def _keys_in(address: str) -> Iterator[str]:
    """The address whole, and what of it an error may quote: passwords, tokens, a path too long to be a word."""
    yield address
    yield address.partition("://")[2]
    try:
        parts = urlsplit(address)
    except ValueError:
        return
    pieces = [parts.password, parts.username if parts.password else None]
    if parts.scheme.lower() == "tgram":
        pieces.append(parts.netloc)
    pieces += [unquote(piece) for piece in pieces if piece]
    yield from (piece for piece in pieces if piece and len(piece) >= SHORTEST_KEY)
    path = parts.path.strip("/")
    if len(path) >= SHORTEST_PATH:
        yield path
    if parts.scheme.lower() not in MAIL:
        yield from (value for _, value in parse_qsl(parts.query) if len(value) >= SHORTEST_KEY)
