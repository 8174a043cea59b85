"""The table that a run of the monkey ends with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos.house import House
from tests.chaos.judgement import Judgement
from tests.chaos.monkey import Burst
from tests.chaos.pulse import Pulse
from tests.oracle.facts import By
from tests.oracle.measures import percentile


def table(house: House, bursts: list[Burst], pulse: Pulse, found: Judgement, command: str) -> str:
    """All of it, as text."""
    return "\n".join(
        (
            *_faults(bursts, found),
            *_recoveries(house, bursts, pulse),
            *_unprotected(found),
            *_excuses(found),
            *_signals(house, found),
            *_violations(found),
            f"the same again: {command}",
        )
    )


def _faults(bursts: list[Burst], found: Judgement) -> Iterator[str]:
    struck = Counter(done.act.kind for burst in bursts for done in burst.done if done.struck)
    missed = Counter(done.act.kind for burst in bursts for done in burst.done if not done.struck)
    yield f"FAULTS: {struck.total()} acts in {len(bursts)} bursts ({missed.total()} found nothing to strike)"
    by_group: dict[str, Counter[str]] = defaultdict(Counter)
    for kind, times in struck.items():
        group, _, rest = kind.partition(" ")
        by_group[group][rest] = times
    for group, kinds in sorted(by_group.items()):
        listed = ", ".join(f"{kind} {times}" for kind, times in sorted(kinds.items()))
        yield f"  {group:9} {kinds.total():4d}  {listed}"
    yield f"  on the wire the proxy struck {found.strikes.total()} times: " + _counted(found.strikes)


def _recoveries(house: House, bursts: list[Burst], pulse: Pulse) -> Iterator[str]:
    yield "RECOVERIES (s) from the end of the fault (kill of an actor, start of a process), whatever else still lasts:"
    yield "                       all positions owned and covered          | and streams, database and entries up"
    whole: dict[str, list[int]] = defaultdict(list)
    up: dict[str, list[int]] = defaultdict(list)
    for done in (done for burst in bursts for done in burst.done if done.struck):
        for row in (_row(done.act.kind), "any"):
            for times, s in ((whole, pulse.until_whole(done.over)), (up, pulse.until_up(done.over))):
                if s is not None:
                    times[row].append(int(s * 1000))
    for row in sorted(whole):
        yield f"  {row:20} {_times(whole[row])} | {_times(up[row])}"
    healed = [int(s * 1000) for burst in bursts for s in burst.recovery.whole_s.values()]
    yield f"  {'each account (L1)':20} {_times(healed)}   from the healing of a burst"
    starts = [int(s * 1000) for s in house.starts_s]
    yield f"  {'start to ctl answers':20} {_times(starts)}"


def _row(kind: str) -> str:
    """Acts of a kind share a row: actors by how they died, the rest by what was struck."""
    words = kind.split()
    return f"actor {words[-1]}" if words[0] == "actor" else " ".join(words[:2]) if words[0] == "service" else words[0]


def _times(ms: list[int]) -> str:
    shown = [f"{name} {percentile(ms, share) / 1000:6.2f}" for name, share in (("p50", 50), ("p99", 99), ("max", 100))]
    return f"n {len(ms):3d} " + " ".join(shown)


def _unprotected(found: Judgement) -> Iterator[str]:
    for name, verdict in found.verdicts.items():
        lives = [life for life in (*verdict.lives, *verdict.open_lives) if life.owner is not None]
        yield (
            f"POSITIONS {name}: {len(lives)}, closed {sum(life.ended is not None for life in lives)}, "
            f"stop moves {sum(life.moves for life in lives)}, requests {verdict.measures.requests.total()}, "
            f"entry fill to cover p50 {percentile(verdict.measures.entry_to_cover, 50)} ms"
        )
        intervals = verdict.measures.intervals
        yield f"UNPROTECTED {name}: {sum(i.length for i in intervals) / 1000:.2f} s in {len(intervals)} intervals"
        for cause in By:
            lengths = [i.length for i in intervals if i.cause is cause]
            if lengths:
                shown = f"p50 {percentile(lengths, 50)} ms, p99 {percentile(lengths, 99)} ms, max {max(lengths)} ms"
                yield f"  begun by {cause}: {len(lengths)}, {shown}, together {sum(lengths) / 1000:.2f} s"
        longer = Counter(i.excuse or "nothing" for i in intervals if i.length > 1_000)
        if longer:
            yield "  longer than 1 s, excused by: " + _counted(longer)


def _excuses(found: Judgement) -> Iterator[str]:
    total: Counter[str] = Counter()
    for verdict in found.verdicts.values():
        for (law, why), times in verdict.excuses.items():
            total[f"{law} {why}"] += times
    yield f"EXCUSES used by the oracle: {total.total()}"
    yield from (f"  {times:4d} x {why}" for why, times in total.most_common())


def _signals(house: House, found: Judgement) -> Iterator[str]:
    sent, stored = len(house.flow.ids()), found.signals.total()
    yield f"SIGNALS: {sent} sent, {stored} stored and answered for, {house.flow.hellos} connections: " + _counted(
        found.signals
    )
    yield "LOG, errors and worse: " + (_counted(found.log) or "none")


def _violations(found: Judgement) -> Iterator[str]:
    yield f"VIOLATIONS: {len(found.violations)}"
    yield from (f"  {each}" for each in found.violations)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in counts.most_common())
