"""What the notifier needs of a channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from domain.catalogue import Severity
from domain.records import AlertChange


class NotDelivered(Exception):
    """The channel did not take a message, with the reason; it will be tried again.

    `retry_after_s`: how long it says to wait. `refused`: it will never take this message as it is.
    """

    def __init__(self, reason: str, *, retry_after_s: float | None = None, refused: bool = False) -> None:
        """`reason` holds no secret."""
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.refused = refused


class WrongAddress(ValueError):
    """An address of a channel that cannot be one; the message says what is wrong and never repeats the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is delivered at once: the text, and the alerts that it tells of (none: a trial)."""

    text: str
    severity: Severity
    alerts: tuple[AlertChange, ...] = ()


class Channel(Protocol):
    """Carries messages to humans. `tag` begins its log lines: TG_SENT, TG_FAILED."""

    name: str
    tag: str

    def deliver(self, message: Message) -> None:
        """Deliver one message. Blocks, with time-outs of its own; called from several threads. Raises NotDelivered."""
        ...
