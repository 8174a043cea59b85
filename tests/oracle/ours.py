"""Whose an order is, by its client id: written from DESIGN 3, apart from the code that mints the ids."""

from __future__ import annotations

import re
from dataclasses import dataclass

_OURS = re.compile(r"hf([0-9a-z]{4})-([0-9a-z]+)-([0-9a-z]+)_([0-9a-z]+)-([0-9a-z]+)([estx])")
ENTRY, STOP, TAKE_PROFIT, EXIT = "e", "s", "t", "x"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ident:
    """What a client id of ours says: whose order, under which epoch, for what."""

    instance: str
    position: int
    term: int
    incarnation: int
    sequence: int
    kind: str

    @property
    def epoch(self) -> tuple[int, int]:
        """Term, then incarnation: compares as epochs do."""
        return self.term, self.incarnation


def identify(client_id: str) -> Ident | None:
    """The parts of an id of ours, None for anybody else's."""
    match = _OURS.fullmatch(client_id) if len(client_id) <= 36 else None
    if match is None:
        return None
    instance, position, term, incarnation, sequence, kind = match.groups()
    return Ident(
        instance=instance,
        position=int(position, 36),
        term=int(term, 36),
        incarnation=int(incarnation, 36),
        sequence=int(sequence, 36),
        kind=kind,
    )
