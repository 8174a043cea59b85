"""What is said to the kill switch, and what it asks of others. Frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from actors.agreement_messages import Adopt

KILL_SWITCH = "kill_switch"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSwitch:
    """Asked by the admin: the first step, for one account or all (None)."""

    urgent: ClassVar[bool] = True
    account: str | None
    reason: str
    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmSwitch:
    """Asked by the admin: the second step."""

    urgent: ClassVar[bool] = True
    code: str
    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetSwitch:
    """Asked by the admin: entries again, on one account or all (None)."""

    urgent: ClassVar[bool] = True
    account: str | None
    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseAll:
    """Asked by the admin: have everything owned closed, on one account or all (None), and nothing remembered of it.

    `strangers`: also what nobody of us owns.
    """

    urgent: ClassVar[bool] = True
    account: str | None
    strangers: bool
    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskFunds:
    """To a gateway: read the account's balance now; what it says is in the account's standing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseStrangers:
    """To a reconciler: have what nobody owns adopted and closed, as the readings of the next moment find it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseStranger(Adopt):
    """From the reconciler to the entry desk: as `Adopt`, by an operator's order: also one given back to a human."""


class SwitchRefused(Exception):
    """Why an operator's wish to the kill switch is not granted."""
