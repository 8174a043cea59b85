"""A verdict in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime

from tests.oracle.court import Breach
from tests.oracle.facts import By
from tests.oracle.judge import ELSEWHERE, LAWS, Verdict
from tests.oracle.measures import percentile
from tests.oracle.reader import AnyLine


def report(verdict: Verdict) -> str:
    """The whole report, as lines of text."""
    return "\n".join((*_figures(verdict), *_excuses(verdict), *_unjudged(verdict), *_breaches(verdict)))


def clock(ms: int) -> str:
    """Exchange time (ms) as ISO-8601 UTC with milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def line_text(line: AnyLine) -> str:
    """A line as `seq=… kind key=value …`."""
    kind = type(line).__name__.removesuffix("Line").lower()
    shown = [f"{f.name}={getattr(line, f.name)}" for f in fields(line) if f.name not in ("seq", "t", "more")]
    return f"seq={line.seq} {clock(line.t)} {kind} {' '.join(shown)}"


def breach_text(breach: Breach) -> str:
    """A breach with the lines that prove it."""
    proof = "".join(f"\n      {line_text(line)}" for line in breach.lines)
    return f"  {breach.law} {clock(breach.at)} {breach.symbol}: {breach.text}{proof}"


def _figures(verdict: Verdict) -> Iterator[str]:
    measures = verdict.measures
    ours = [life for life in (*verdict.lives, *verdict.open_lives) if life.owner is not None]
    closed = [life for life in verdict.lives if life.owner is not None]
    yield f"timeline: {measures.lines} lines, {clock(measures.first_at)} to {clock(measures.last_at)}"
    yield (
        f"positions of ours: {len(ours)}, closed {len(closed)}, "
        f"stopped out {sum(life.ended_by == 'stop' for life in closed)}, "
        f"stop moves {sum(life.moves for life in ours)}, most live stops at once {measures.most_stops}"
    )
    for cause in By:
        lengths = [i.length for i in measures.intervals if i.cause is cause]
        if lengths:
            yield (
                f"unprotected, begun by {cause}: {len(lengths)}, p50 {percentile(lengths, 50)} ms, "
                f"p99 {percentile(lengths, 99)} ms, max {max(lengths)} ms, total {sum(lengths) / 1000:.3f} s"
            )
    covers = measures.entry_to_cover
    yield f"entry fill to cover: {len(covers)}, p50 {percentile(covers, 50)} ms, p99 {percentile(covers, 99)} ms"
    yield f"requests: {measures.requests.total()}, most weight in a minute {measures.most_weight}"
    for path, count in measures.requests.most_common():
        yield f"  {count:6d} {path}"


def _excuses(verdict: Verdict) -> Iterator[str]:
    yield f"excuses used: {verdict.excuses.total()}"
    for (law, why), count in sorted(verdict.excuses.items()):
        yield f"  {law} {count} x {why}"


def _unjudged(verdict: Verdict) -> Iterator[str]:
    """No law is passed over in silence: what could not be judged here, and what no timeline can tell."""
    for (law, why), count in sorted(verdict.unjudged.items()):
        yield f"cannot be judged: {law} {count} x {why}"
    for law, why in ELSEWHERE.items():
        yield f"not judged from a timeline: {law}, {why}"


def _breaches(verdict: Verdict) -> Iterator[str]:
    judged = ", ".join(law.name for law in LAWS)
    if verdict.clean:
        yield f"no violation of {judged}"
        return
    yield f"VIOLATIONS: {len(verdict.breaches)} (judged: {judged})"
    yield from (breach_text(breach) for breach in verdict.breaches)
