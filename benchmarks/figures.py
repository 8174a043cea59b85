"""Figures and the table that shows them; all of them are simulated: the exchange is ours, on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

HEAD = "| figure (simulated) | where | n | p50 | p99 | max | aim |\n|---|---|---:|---:|---:|---:|---|"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Values of one kind; `name` says the unit, `digits` how many places are shown."""

    name: str
    where: str
    values: Sequence[float]
    aim: str = ""
    digits: int = 1

    def line(self) -> str:
        """Its row of the table."""
        if not self.values:
            return f"| {self.name} | {self.where} | 0 | none | none | none | {self.aim} |"
        shown = (percentile(self.values, 50), percentile(self.values, 99), max(self.values))
        cells = " | ".join(f"{value:,.{self.digits}f}" for value in shown)
        return f"| {self.name} | {self.where} | {len(self.values)} | {cells} | {self.aim} |"


def table(figures: Iterable[Figure]) -> str:
    """The figures in Markdown."""
    return "\n".join([HEAD, *(figure.line() for figure in figures)])


def percentile(values: Iterable[float], percent: int) -> float:
    """The smallest value that `percent` of the values do not exceed. Raises IndexError for no values."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
