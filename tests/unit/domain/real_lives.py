"""Positions as they really become: every answer that the machine gave in the random lives of `tests.properties`.

Rules of this file: nothing is made up. A position, what it heard, when, and what came of it are taken as they were
while the lives of the first seeds ran, in the order in which they ran; the same code gives the same answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from domain.position import machine
from domain.position.effects import Transition
from domain.position.inputs import Input
from domain.position.state import Phase, Position
from tests.properties.explore import life


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One answer of the machine."""

    before: Position
    heard: Input
    at: datetime
    said: Transition

    @property
    def moved(self) -> bool:
        """Whether the position has come into another phase."""
        return self.before.phase is not self.said.position.phase


@contextmanager
def _listening(answers: list[Answered]) -> Iterator[None]:
    real = machine.handle

    def handle(position: Position, heard: Input, now: datetime) -> Transition:
        said = real(position, heard, now)
        answers.append(Answered(before=position, heard=heard, at=now, said=said))
        return said

    machine.handle = handle
    try:
        yield
    finally:
        machine.handle = real


@lru_cache(maxsize=2)
def lives(count: int) -> tuple[Answered, ...]:
    """All that was answered in the lives of the first `count` seeds."""
    answers: list[Answered] = []
    with _listening(answers):
        for seed in range(count):
            life(seed)
    return tuple(answers)


def transitions(answers: tuple[Answered, ...]) -> dict[tuple[Phase, Phase], dict[str, int]]:
    """Which phase followed which, by the names of the inputs that led there, counted."""
    found: dict[tuple[Phase, Phase], dict[str, int]] = {}
    for answer in answers:
        if answer.moved:
            step = found.setdefault((answer.before.phase, answer.said.position.phase), {})
            name = type(answer.heard).__name__
            step[name] = step.get(name, 0) + 1
    return found
