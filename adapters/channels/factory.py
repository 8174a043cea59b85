"""From the address of a channel to the channel."""

from __future__ import annotations

from adapters.channels.any_service import AnyService
from adapters.channels.interface import Channel, Message, NotDelivered, WrongAddress
from adapters.channels.mail import Mail
from adapters.channels.telegram import Telegram
from adapters.channels.webhook import SLACK, Slack, Webhook


class Broken:
    """In the place of a channel whose address is none: it takes nothing and says why. No service stays down for it."""

    tag = "NOTICE"

    def __init__(self, name: str, why: str) -> None:
        """`why` holds no secret."""
        self.name = name
        self._why = why

    def deliver(self, message: Message) -> None:  # noqa: ARG002 - as every channel's
        """Raises NotDelivered."""
        raise NotDelivered(f"the address {self._why}")


def open_channel(name: str, address: str, *, telegram_url: str) -> Channel:
    """The channel at an address; nothing is sent or opened yet."""
    scheme = address.partition("://")[0].lower()
    try:
        if scheme == "tgram":
            return Telegram(name, address, telegram_url)
        if address.startswith((f"{SLACK}https://", f"{SLACK}http://")):
            return Slack(name, address)
        if scheme in ("http", "https"):
            return Webhook(name, address)
        if scheme in ("smtp", "smtps"):
            return Mail(name, address)
    except WrongAddress as wrong:
        return Broken(name, str(wrong))
    return AnyService(name, address)
