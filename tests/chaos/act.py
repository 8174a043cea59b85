"""What an act of the monkey is: something that befalls the house, lasts a while, and is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from tests.chaos.house import House


class Group(StrEnum):
    """Where an act strikes. Acts of one burst that would hide each other are of the same group and account."""

    ACTOR = "actor"
    SERVICE = "service"
    DATABASE = "database"
    EXCHANGE = "exchange"
    WIRE = "wire"
    VENUE = "venue"
    HUMAN = "human"


Deed = Callable[[House], bool]
"""Does something; False if there was nothing to do it to."""


def nothing(_: House) -> bool:
    """Nothing to be done."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """`kind` names its row in the table; `end` undoes what lasts; `lasts_s` from one to the other."""

    group: Group
    kind: str
    begin: Deed
    end: Deed = field(default=nothing)
    lasts_s: float = 0.0
    account: str = ""
    freezes_database: bool = False
