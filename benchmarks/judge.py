"""`python -m benchmarks.judge`: what one look of the judge costs with a thousand open positions.

The judge is the real one; its clock, its owners and their marks are in memory, nobody else runs. Every look finds new
prices in all markets.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from actors.clock import SystemClock
from actors.directory import Directory
from actors.guard import ActorContext
from actors.healths import Healths
from actors.judge import JUDGE, Judge, Wiring
from actors.marks import Mark, Marks
from actors.owners import Owners
from config.in_force import SettingsInForce
from config.settings import Settings
from domain.identity import mint_position_id
from tests.unit.domain.conversation import protected

LOOKS = 40


def main() -> int:
    """Print processor time of a look: median, least, most."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--positions", type=int, default=1_000)
    count = parser.parse_args().positions
    clock = SystemClock()
    owners, marks, healths = Owners(), Marks(), Healths()
    talk, _ = protected()
    now = clock.now()
    for number in range(count):
        instrument = replace(talk.position.instrument, symbol=f"S{number}USDT")
        p = talk.position.changed(id=mint_position_id(now, number), instrument=instrument, opened_at=now)
        owners.claim(owners.place_of(p), p)
    settings = SettingsInForce(Settings.model_validate({"accounts": {"main": {"exchange": "binanceusdm"}}}))
    context = ActorContext(
        name=JUDGE, incarnation=1, directory=Directory(), clock=clock, report_down=lambda _: None, chaos=False
    )
    judge = Judge(context, Wiring(in_force=settings, owners=owners, marks=marks, healths=healths))
    spent: list[float] = []
    for look in range(LOOKS):
        at = now + timedelta(seconds=5 * look)
        for number in range(count):
            price = Decimal(60_000) - look
            marks.put("main", f"S{number}USDT", Mark(price=price, at=at, heard_at=at))
        began = time.thread_time()
        judge._look(settings.now)
        spent.append((time.thread_time() - began) * 1000)
    spent = sorted(spent[1:])
    figures = f"median {statistics.median(spent):.1f} ms, min {spent[0]:.1f}, max {spent[-1]:.1f}"
    sys.stdout.write(f"{count} positions, {len(spent)} looks, processor time of one: {figures}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
