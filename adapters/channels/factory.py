"""From the address of a channel to the channel.

A kind's library is imported with its first channel: nobody else pays for it, and no alert waits for an import.
"""

from __future__ import annotations

from adapters.channels.any_service import UNKNOWN, AnyService
from adapters.channels.interface import Channel, Message, NotDelivered, WrongAddress


class Broken:
    """In the place of a channel whose address is none: it takes nothing and says why. No service stays down for it."""

    tag = "NOTICE"

    def __init__(self, name: str, why: str) -> None:
        """`why` holds no secret."""
        self.name = name
        self.why = why

    def deliver(self, message: Message) -> None:  # noqa: ARG002 - as every channel's
        """Raises NotDelivered."""
        raise NotDelivered(f"the address {self.why}")


def open_channel(name: str, address: str, *, telegram_url: str) -> Channel:
    """The channel at an address; nothing is sent or opened yet."""
    scheme = address.partition("://")[0].lower()
    try:
        if scheme == "tgram":
            from adapters.channels.telegram import Telegram

            return Telegram(name, address, telegram_url)
        if scheme in ("slack+https", "slack+http"):
            from adapters.channels.webhook import Slack

            return Slack(name, address)
        if scheme in ("http", "https"):
            from adapters.channels.webhook import Webhook

            return Webhook(name, address)
        if scheme in ("smtp", "smtps"):
            from adapters.channels.mail import Mail

            return Mail(name, address)
    except WrongAddress as wrong:
        return Broken(name, str(wrong))
    return AnyService(name, address)


def wrong_with(channel: Channel) -> str | None:
    """Why nothing can ever leave by a channel, as far as its address tells; None: nothing. Sends nothing."""
    if isinstance(channel, Broken):
        return channel.why
    return UNKNOWN if isinstance(channel, AnyService) and not channel.known else None
