"""How long an account is without a sender: `python -m benchmarks.take_over [RUNS]`; and what the local book costs.

Two services stand by for one account at one PostgreSQL and one paper exchange. The holder is killed, or leaves in
order, or is paused, with a trailing stop that is due to move: measured is the time until the other one's first order
arrives at the exchange.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from domain.identity import parse_client_id
from persistence.local_book import LocalBook, Memory, Tenure
from tests.end_to_end.machines import Common, Machine, common_ground
from tests.persistence.samples import protected

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "LTCUSDT", "BCHUSDT", "AVAXUSDT")
MOVING = 190


def first_order_after(ground: Common, since_ms: int, term: int) -> float | None:
    """Seconds until the first order of a higher term, by the exchange's timeline."""
    for line in ground.lines():
        if line.get("kind") == "request" and line["t"] >= since_ms and line.get("method") == "POST":
            params = line.get("params") or {}
            ours = parse_client_id(params.get("newClientOrderId") or params.get("clientAlgoId"))
            if ours is not None and ours.epoch.term > term:
                return (int(line["t"]) - since_ms) / 1000
    return None


def one_run(ground: Common, number: int, end: Callable[[Machine], object]) -> float:
    """Kill, release or pause the holder; seconds to the successor's first order."""
    first = ground.machine(f"{number}-one", standby=True)
    first.start()
    first.wait_leads()
    second = ground.machine(f"{number}-two", standby=True)
    second.start()
    symbol = SYMBOLS[number % len(SYMBOLS)]
    opened = first.open(symbol)
    first.move_mark(symbol, "3", steps=3, pause_s=0.4)
    first.wait_position(opened["id"], lambda p: p["trailing"]["state"] == "TRAILING", 15, "it trails")
    term = first.ctl("status")["accounts"][0]["term"]
    time.sleep(1 + number * 0.21 % 1)  # at another moment between two beats each time
    since = time.time_ns() // 1_000_000
    end(first)
    first.move_mark(symbol, "1.5")
    second.wait_leads()
    found: float = second.wait_for(lambda: first_order_after(ground, since, term), 30, "its first order")
    second.ctl("position.close", id=opened["id"])
    second.wait_state(opened["id"], "CLOSED")
    second.interrupt()
    if first.alive:
        first.go_on()
        first.wait_exit(30)
    return found


def local_book(folder: Path) -> None:
    """What it costs when every one of many positions has changed since the last save."""
    book = LocalBook(folder / "local.json")
    tenure = Tenure(exchange="binanceusdm", fingerprint="0" * 16, term=1)
    book.begin(Memory(instance="ab12", host="here", tenures={"main": tenure}))
    noted, saved = [], []
    for version in range(1, 21):
        changed = [protected(1000 + number, version=version) for number in range(MOVING)]
        begun = time.perf_counter()
        for position in changed:
            book.note(position)
        noted.append((time.perf_counter() - begun) / MOVING * 1e6)
        begun, worked = time.perf_counter(), time.process_time()
        book.save()
        saved.append(((time.perf_counter() - begun) * 1000, (time.process_time() - worked) * 1000))
    wall, cpu = [w for w, _ in saved], [c for _, c in saved]
    size = (folder / "local.json").stat().st_size
    print(f"local book, {MOVING} positions changed: note {median(noted):.2f} us each; save {median(wall):.1f} ms "
          f"({min(wall):.1f} to {max(wall):.1f}), processor {median(cpu):.1f} ms, {size / 1024:.0f} KiB")  # fmt: skip


def main(words: list[str]) -> None:
    """Print a line for each way to go."""
    runs = int(words[0]) if words else 5
    numbers = itertools.count()
    ways: dict[str, Callable[[Machine], object]] = {
        "kill -9": Machine.kill9,
        "clean release": Machine.interrupt,  # it has ended when the price moves: else the move may be its own
        "paused (SIGSTOP)": Machine.pause,
    }
    with tempfile.TemporaryDirectory(prefix="holdfast-take-over-") as base:
        local_book(Path(base))
        with common_ground(Path(base)) as ground:
            for name, end in ways.items():
                took = sorted(one_run(ground, next(numbers), end) for _ in range(runs))
                print(f"{name}: first order of the successor after {median(took):.2f} s "
                      f"({took[0]:.2f} to {took[-1]:.2f}, {runs} runs)", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
