"""What a reading of an account can show that the book does not say: every kind, and what it takes to be believed.

Rules of this file: a finding is what was seen, never what is to be done. An owner's finding is put right by the owner,
who gets the same reading as a view; here it is only named, so that it can be counted, told and looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.identity import PositionId


class Kind(StrEnum):
    """Every kind of disagreement (SYSTEM C3)."""

    PHANTOM = "phantom"
    UNSEEN = "unseen"
    UNTRACKED = "untracked"
    QUANTITY = "quantity"
    SIDE = "side"
    LEVERAGE = "leverage"
    ENTRY_PRICE = "entry_price"
    COVER = "cover"
    STOP_PRICE = "stop_price"
    DOUBLED_STOP = "doubled_stop"


LOOKS = {Kind.PHANTOM: 3, Kind.UNSEEN: 3, Kind.SIDE: 3}
"""How often a finding is seen before it is believed, twice unless named: three times where ours may be gone (S11)."""
INSISTED_ON = frozenset({Kind.PHANTOM, Kind.UNSEEN, Kind.UNTRACKED})
"""Looked at again at once for as long as it is doubtful."""
ONCE_MORE = frozenset(Kind) - INSISTED_ON - {Kind.SIDE}
"""Looked at once more for each new figure: its owner may have dropped the reading as older than its own last order.

Another side is no such case: its owner asks for the size itself, and readings are scarce where humans turn over.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One disagreement. `shown`: what the exchange says, by which two sightings are the same.

    `early`: the owner has acted since the reading was asked for, so that it proves nothing yet. `lasting`: nobody is to
    put it right (leverage under an open position, a stranger's position that is only told of).
    """

    kind: Kind
    key: str
    symbol: str
    shown: str
    figures: Mapping[str, str] = field(default_factory=dict)
    position_id: PositionId | None = None
    early: bool = False
    lasting: bool = False

    @property
    def looks(self) -> int:
        """How often it is seen before it is believed."""
        return LOOKS.get(self.kind, 2)

    def told(self) -> dict[str, object]:
        """As an operator is shown it."""
        position = {} if self.position_id is None else {"position": self.position_id}
        return {"finding": self.kind.value, "symbol": self.symbol, **position, **self.figures}
