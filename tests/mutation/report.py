"""What mutmut found, told by file and line of the sources: it knows its mutants by function and number only."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

# Exit codes of a mutant's process, pytest's and mutmut's: what is none of these is a signal or a limit of time.
SURVIVED, UNREACHED, KILLED, INTERRUPTED = (0,), (5, 33), (1, 3), 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """A change that no test minded. `reached` is False when no test calls the function at all."""

    path: str
    line: int
    before: str
    after: str
    reached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What became of the mutants of one file."""

    path: str
    killed: int
    timed_out: int
    survivors: tuple[Survivor, ...]

    @property
    def mutants(self) -> int:
        """All of them."""
        return self.killed + self.timed_out + len(self.survivors)

    @property
    def percent(self) -> float:
        """Share that was noticed; a mutant that runs out of time was."""
        return 100 * (self.killed + self.timed_out) / self.mutants if self.mutants else 100.0


def read(folder: Path, path: str) -> Score:
    """What became of the mutants of `path` in the copy under `folder`.

    Raises RuntimeError when mutmut was cut short.
    """
    found: dict[str, int | None] = json.loads((folder / "mutants" / f"{path}.meta").read_text())["exit_code_by_key"]
    codes = {key: code for key, code in found.items() if code is not None}  # None: not in the sample
    if INTERRUPTED in codes.values():
        raise RuntimeError(f"{path}: mutmut did not finish")
    alive = {key.rpartition(".")[2]: code for key, code in codes.items() if code in SURVIVED + UNREACHED}
    killed = sum(code in KILLED for code in codes.values())
    survivors = [_located(folder, path, name, code not in UNREACHED) for name, code in alive.items()]
    return Score(
        path=path,
        killed=killed,
        timed_out=len(codes) - killed - len(alive),
        survivors=tuple(sorted(survivors, key=lambda survivor: survivor.line)),
    )


def table(scores: Sequence[Score]) -> str:
    """One line a file, and the sum."""
    whole = Score(
        path="all",
        killed=sum(score.killed for score in scores),
        timed_out=sum(score.timed_out for score in scores),
        survivors=tuple(found for score in scores for found in score.survivors),
    )
    lines = ["| file | mutants | killed | survived | timed out | score |", "|---|---:|---:|---:|---:|---:|"]
    for s in (*scores, whole):
        figures = f"{s.mutants} | {s.killed} | {len(s.survivors)} | {s.timed_out} | {s.percent:.1f} %"
        lines.append(f"| {s.path} | {figures} |")
    return "\n".join(lines)


def survivors(scores: Iterable[Score]) -> str:
    """Each line of code with the changes to it that nobody minded."""
    lines: list[str] = []
    told: tuple[object, ...] = ()
    for found in (found for score in scores for found in score.survivors):
        place = (found.path, found.line, found.before)
        if place != told:
            reached = "" if found.reached else "  (no test comes here)"
            lines += [f"{found.path}:{found.line}{reached}", f"  - {found.before}"]
            told = place
        lines.append(f"  + {found.after}")
    return "\n".join(lines)


def _located(folder: Path, path: str, mutant: str, reached: bool) -> Survivor:
    spans: dict[str, list[int]] = json.loads((folder / "mutants" / f"{path}.spans").read_text())["spans"]
    text = (folder / "mutants" / path).read_text().splitlines()
    original = mutant.rpartition("__mutmut_")[0] + "__mutmut_orig"
    one, other = (_body(text[spans[name][0] - 1 : spans[name][1]]) for name in (original, mutant))
    changes = (change for change in SequenceMatcher(None, one, other).get_opcodes() if change[0] != "equal")
    _, i, until_i, j, until_j = next(changes)
    before, after = (" ".join(line.strip() for line in part) for part in (one[i:until_i], other[j:until_j]))
    line = _first_line(folder / path, original) + 1 + i
    return Survivor(path=path, line=line, before=before, after=after, reached=reached)


def _body(function: list[str]) -> list[str]:
    """Its lines below the one with the name, which is generated."""
    return function[next(i for i, line in enumerate(function) if line.lstrip().startswith("def ")) + 1 :]


def _first_line(path: Path, original: str) -> int:
    """Line of the `def` that a generated name (`x_name__…` or `xǁClassǁname__…`) stands for."""
    stem = original.removesuffix("__mutmut_orig")
    body: Sequence[ast.stmt] = ast.parse(path.read_text()).body
    owner, name = stem[2:].split("ǁ") if stem.startswith("xǁ") else (None, stem[2:])
    if owner is not None:
        body = next(node.body for node in body if isinstance(node, ast.ClassDef) and node.name == owner)
    return next(node.lineno for node in body if isinstance(node, ast.FunctionDef) and node.name == name)
