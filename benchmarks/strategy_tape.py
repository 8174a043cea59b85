"""The built-in strategy over a recorded market: how often it speaks, beside TA-Lib's CDLHARAMI, and a picture of one.

    python -m benchmarks.strategy_tape TAPE --figure docs/figures/harami.svg

Prints a table in Markdown. The picture is of the strongest find. Exit codes: 0 done, 2 the tape cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from adapters.exchange.interface import Candle
from benchmarks.candle_picture import draw_candles
from domain.instrument import PositionSide
from domain.strategy.verdict import Find, StrategyRules, judge
from tests.candles import folded, read_minutes

ROOM = 30
AFTER = 12


def finds(candles: Sequence[Candle], rules: StrategyRules) -> tuple[dict[int, Find], Counter[str]]:
    """What is found, by the place of its last candle, and how the others ended."""
    found: dict[int, Find] = {}
    others: Counter[str] = Counter()
    for end, last in enumerate(candles):
        known = candles[max(0, end + 1 - rules.needed) : end + 1]
        verdict = judge(known, last.opened_at + rules.span, rules)
        if isinstance(verdict, Find):
            found[end] = verdict
        else:
            others["quiet" if verdict is None else verdict.reason] += 1
    return found, others


def main() -> int:
    """See the head of the file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("tape", type=Path)
    options.add_argument("--candle-minutes", type=int, default=5)
    options.add_argument("--higher-minutes", type=int, default=60)
    options.add_argument("--figure", type=Path, help="draw the strongest find into this file")
    chosen = options.parse_args()
    rules = StrategyRules(candle_minutes=chosen.candle_minutes, higher_minutes=chosen.higher_minutes)
    try:
        candles = folded(read_minutes(chosen.tape), rules.span)
    except (OSError, ValueError) as error:
        print(f"{chosen.tape}: {error}", file=sys.stderr)
        return 2
    found, others = finds(candles, rules)
    _report(chosen.tape.stem, candles, found, others, rules)
    if chosen.figure is not None and found:
        end = max(found, key=lambda place: (found[place].score_week, place))
        shown = candles[max(0, end - ROOM) : end + AFTER]
        chosen.figure.write_text(draw_candles(shown, end - max(0, end - ROOM), _title(chosen.tape, found[end])))
    return 0


def _report(
    name: str, candles: Sequence[Candle], found: dict[int, Find], others: Counter[str], rules: StrategyRules
) -> None:
    sides = Counter(find.harami.side for find in found.values())
    days = Decimal(len(candles) * rules.candle_minutes) / (24 * 60)
    scores = sorted(find.score_week for find in found.values())
    agreeing = sum(find.score_month > 50 for find in found.values())
    skipped = ", ".join(f"{reason} {count}" for reason, count in sorted(others.items()) if reason != "quiet")
    median = scores[len(scores) // 2] if scores else None
    print("| market | candles | bullish | bearish | a day | median score_week | score_month > 50 | not judged |")
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {name} | {len(candles)} | {sides[PositionSide.LONG]} | {sides[PositionSide.SHORT]} | "
        f"{len(found) / days:.1f} | {median} | {agreeing} | {skipped} |"
    )


def _title(tape: Path, find: Find) -> str:
    kind = "bullish" if find.harami.side is PositionSide.LONG else "bearish"
    return f"{tape.stem.split('_')[0]}: {kind} harami, score_week {find.score_week}, score_month {find.score_month}"


if __name__ == "__main__":
    sys.exit(main())
