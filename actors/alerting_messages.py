"""What the notifier and the alarms hear beside what all actors say. Frozen, as everything in `messages`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from domain.alerting.outbox import Failure
from domain.records import AlertChange, Event

ALARMS = "alarms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """To the notifier itself: how one delivery ended; `failure` None: the channel took it."""

    perishable: ClassVar[bool] = True
    channel: str
    number: int
    took_s: float
    failure: Failure | None = None
    stack: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """From a notifier that died to its successor: what was under its care, and the channels that still lack it."""

    alerts: tuple[tuple[AlertChange, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TryChannels:
    """Asked of the notifier: send a trial message by every channel, now. Answers with the number of the trial."""

    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowTrial:
    """Asked of the notifier: what became of a trial. Answers a mapping of channel to `Tried`, None: under way."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """How a channel took a trial message."""

    took_s: float
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """From the journal to the alarms: events that a standing alert may begin or end with."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledge:
    """Asked of the alarms by the admin: somebody knows of this standing alert. Answers whether there is one."""

    alert_id: str
    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowAlarms:
    """Asked of the alarms: what stands. Answers a tuple of `domain.alerting.standing.Standing`, the oldest first."""
