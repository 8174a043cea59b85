"""The kill switch of one account: off, or in force until somebody entitled resets it.

Rules of this file. In force means: no entry leaves, and what we own is closed by its owners. What a stranger opened is
never closed by it, not even if we adopt it while the switch is in force: it is protected, and left to the human who has
just stopped us. An operator fires it in two steps, so that no slip of the hand does. Each change has a number higher
than the one before it: of two memories (database, this machine's local book) the higher number is right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.identity import PositionId
from domain.position.state import Position

CONFIRM_WITHIN_S = 60


class Cause(StrEnum):
    """Why it was fired."""

    OPERATOR = "operator"
    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """How it stands. `figures`: what it was fired on; `by`: who did the last change."""

    number: int = 0
    fired_at: datetime | None = None
    cause: Cause | None = None
    by: str = ""
    figures: Mapping[str, str] = field(default_factory=dict)

    @property
    def in_force(self) -> bool:
        """Whether entries are closed and positions are being closed."""
        return self.fired_at is not None

    @property
    def reason(self) -> str | None:
        """Why entries are closed, for whoever is refused one; None: they are not."""
        if self.fired_at is None or self.cause is None:
            return None
        figures = ", ".join(f"{name} {value}" for name, value in self.figures.items())
        why = f"{self.cause}, {figures}" if figures else self.cause.value
        return f"kill switch in force since {self.fired_at:%Y-%m-%d %H:%M:%S} UTC ({why}; by {self.by}), until reset"


OFF = Switch()


def fired(switch: Switch, cause: Cause, by: str, figures: Mapping[str, str], now: datetime) -> Switch:
    """In force from now on; what is in force already stays as it is, with its first reason."""
    if switch.in_force:
        return switch
    return Switch(number=switch.number + 1, fired_at=now, cause=cause, by=by, figures=figures)


def reset(switch: Switch, by: str) -> Switch:
    """Off; what is off already stays as it is."""
    return Switch(number=switch.number + 1, by=by) if switch.in_force else switch


def newest(*remembered: Switch) -> Switch:
    """Of what several memories hold, what happened last."""
    return max(remembered, key=lambda each: each.number, default=OFF)


def to_close(switch: Switch, owned: Iterable[Position]) -> tuple[PositionId, ...]:
    """What has to be closed and is not being closed yet.

    A position of ours that was opened after the switch was fired began in the same moment and is closed as well.
    """
    at = switch.fired_at
    if at is None:
        return ()
    return tuple(
        p.id
        for p in owned
        if p.close_wanted is None and not p.phase.final and not (p.adopted and p.opened_at > at)
    )


def to_row(switch: Switch) -> dict[str, Any]:
    """As JSON holds it."""
    return {
        "number": switch.number,
        "fired_at": None if switch.fired_at is None else switch.fired_at.isoformat(),
        "cause": None if switch.cause is None else switch.cause.value,
        "by": switch.by,
        "figures": dict(switch.figures),
    }


def from_row(row: Mapping[str, Any]) -> Switch:
    """The reverse. Raises KeyError, ValueError, TypeError: it is not what `to_row` made."""
    at, cause = row["fired_at"], row["cause"]
    if (at is None) != (cause is None):
        raise ValueError(f"fired_at {at}, cause {cause}: one without the other")
    return Switch(
        number=int(row["number"]),
        fired_at=None if at is None else datetime.fromisoformat(at),
        cause=None if cause is None else Cause(cause),
        by=str(row["by"]),
        figures={str(name): str(value) for name, value in row["figures"].items()},
    )


# Two steps.


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """An operator's first step. `until_s` is monotonic."""

    code: str
    accounts: tuple[str, ...]
    until_s: float
    reason: str = ""


def arm(code: str, accounts: Iterable[str], reason: str, now_s: float) -> Armed:
    """The first step, at `now_s` (monotonic)."""
    return Armed(code=code, accounts=tuple(accounts), until_s=now_s + CONFIRM_WITHIN_S, reason=reason)


def wrong_confirmation(armed: Armed | None, code: str, now_s: float) -> str | None:
    """Why a second step does nothing; None: it fires."""
    if armed is None:
        return "nothing is armed: kill_switch.arm gives a code"
    if now_s > armed.until_s:
        return f"the code was good for {CONFIRM_WITHIN_S} s, arm it again"
    if code.strip().upper() != armed.code:
        return f"code {code} is not the one that kill_switch.arm gave last"
    return None
