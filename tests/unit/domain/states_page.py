"""`python -m tests.unit.domain.states_page` writes docs/states.md: a position's states, inputs and life, from the code.

Rules of this file: the tables are read from `machine.ANSWERS` and from the docstrings of the inputs; the diagram is
drawn from the steps that positions really took in the lives of `tests.properties`. Only what an input does and what a
phase means is written here, one line each, and a phase or an input without its line is an error.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

from domain.position import inputs, machine
from domain.position.state import Phase
from tests.unit.domain.real_lives import lives, transitions

PAGE = Path(__file__).parents[3] / "docs" / "states.md"
LIVES = 1_000
STEP = re.compile(r"^    (\w+) --> (\w+) : ([\d,]+)$", re.MULTILINE)

MEANS = {
    Phase.PENDING_ENTRY: "decided; the entry is not sent, or nobody knows yet what became of it",
    Phase.ENTRY_PLACED: "the venue has the entry, nothing is known to be filled",
    Phase.PENDING_SL: "there is something to protect, and no stop has been in force yet",
    Phase.ACTIVE: "protected at least once; the stop is kept, moved and put right from here on",
    Phase.CLOSING: "a close is wanted, the stop has fired, or flat and waiting for the proof and the last executions",
    Phase.CLOSED: "flat by proof, no order of ours is left, the executions are booked",
    Phase.FAILED: "there never was a position: the entry was refused, absent or expired",
    Phase.ROLLED_BACK: "closed at market because no stop could be had",
    Phase.LIQUIDATED: "the venue closed it by force",
    Phase.RELEASED: "handed back to a human, its stop left in place",
}
DOES: dict[type, str] = {
    inputs.Begin: "mints the entry's id and sends it, with its stop attached where the venue can",
    inputs.Recovered: "what was under way is unknown, what rested is asked about, size and candles are asked for",
    inputs.OutcomeHeard: "accepted: it rests, or has filled; refused: tried again or given up; unknown: asked about",
    inputs.CancelHeard: "done or gone: the order is looked up if it may have filled; refused: tried again later",
    inputs.AnswerHeard: "found: as if the venue had said it; not found: proof only after the receive window",
    inputs.OrderHeard: "status and cumulative fill of an order of ours, of a stop's child, of a stranger's",
    inputs.FillHeard: "books one execution, once; the stop's size follows",
    inputs.PositionHeard: "the venue's size against the book: agreement, or a question, or an outside change",
    inputs.View: "the same from a complete reading, and each order that it shows or lacks; a stale one says nothing",
    inputs.PriceRange: "activates or advances the trailing, finds a stop that was passed, moves the stop",
    inputs.CandlesHeard: "the extreme made while nobody was awake counts for the trailing",
    inputs.FillsListed: "books what was missed; when flat and all is itemised, the life may end",
    inputs.QuestionFailed: "asks again after a pause",
    inputs.CloseWanted: "wants it closed, wholly or in part: a reduce-only order at market",
    inputs.StopWanted: "the stop goes where the operator says; trailing waits for a new extreme",
    inputs.TrailingWanted: "other trailing rules from now on",
    inputs.RulesChanged: "takes over what became tighter",
    inputs.AgingChanged: "lives by these from now on; the step it has come to is found anew",
    inputs.RiskHeard: "keeps the level; once each time one is reached: tightens the stop, closes a part or all",
    inputs.Release: "ends the ownership; nothing is cancelled",
    inputs.InstrumentHeard: "new ticks and steps for what is sent from now on",
    inputs.Wake: "whatever has fallen due: questions, retries, time activation",
}


def page(count: int = LIVES) -> str:
    """The whole page; its measured part is of so many lives."""
    return f"{static()}\n{measured(count)}"


def static() -> str:
    """What follows from the tables of the code alone."""
    alive = [phase for phase in Phase if not phase.final]
    over = [phase for phase in Phase if phase.final]
    lines = [
        "# A position's states",
        "",
        "Written by `python -m tests.unit.domain.states_page` from the code; a test fails when the two differ.",
        "",
        *(inspect.getdoc(machine) or "").splitlines(),
        "",
        "## Phases",
        "",
        "| phase | means |",
        "|---|---|",
        *(f"| {phase.name}{' (final)' if phase.final else ''} | {MEANS[phase]} |" for phase in Phase),
        "",
        "NEEDS_INTERVENTION is no phase but a flag on any that is neither covered nor closing as it should.",
        "",
        "## What is heard in which phase",
        "",
        f"`x`: heard. A final phase ({', '.join(phase.name for phase in over)}) hears nothing, whatever comes.",
        "",
        f"| input | {' | '.join(phase.name for phase in alive)} | is | does |",
        f"|---|{'---|' * len(alive)}---|---|",
    ]
    for heard, answer in machine.ANSWERS.items():
        cells = " | ".join("x" if phase in answer.phases else " " for phase in alive)
        lines.append(f"| {heard.__name__} | {cells} | {_first_line(heard)} | {DOES[heard]} |")
    return "\n".join(lines) + "\n"


def measured(count: int) -> str:
    """What positions really did in so many lives."""
    answers = lives(count)
    steps = sorted(transitions(answers).items(), key=lambda step: tuple(map(list(Phase).index, step[0])))
    begun = sum(answer.before.version == 0 and answer.before.entry is None for answer in answers)
    lines = [
        "## The lives that were lived",
        "",
        f"Every step that a position took in {count:,} random lives of `tests.properties.explore`, with its number:",
        f"{len(answers):,} inputs, {begun:,} beginnings, each way in which a venue can move a stop, faults and kills.",
        "Adopted positions begin at PENDING_SL; no adopted one is among these.",
        "",
        "```mermaid",
        "stateDiagram-v2",
        f"    [*] --> {Phase.PENDING_ENTRY.name}",
        *(f"    {a.name} --> {b.name} : {sum(by.values()):,}" for (a, b), by in steps),
        *(f"    {phase.name} --> [*]" for phase in Phase if phase.final),
        "```",
        "",
        "| from | to | by what was heard |",
        "|---|---|---|",
    ]
    for (a, b), by in steps:
        most_first = sorted(by.items(), key=lambda item: (-item[1], item[0]))
        told = ", ".join(f"{name} {times:,}" for name, times in most_first)
        lines.append(f"| {a.name} | {b.name} | {told} |")
    return "\n".join(lines) + "\n"


def steps_on(text: str) -> dict[tuple[str, str], int]:
    """The steps that a page's diagram shows, with their numbers."""
    return {(a, b): int(times.replace(",", "")) for a, b, times in STEP.findall(text)}


def _first_line(heard: type) -> str:
    """The first sentence of an input's docstring."""
    text = " ".join((inspect.getdoc(heard) or "").split())
    return re.split(r"(?<=[.]) ", text)[0].replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE}\n")
