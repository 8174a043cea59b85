"""`python -m tests.oracle TIMELINE`: prints the report; exit 1 on a violation, 2 if the timeline cannot be read."""

from __future__ import annotations

import argparse
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.oracle.court import Absence, Filters, Terms
from tests.oracle.judge import judge_file
from tests.oracle.reader import TimelineError
from tests.oracle.report import report


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description="Judge a timeline by the laws.")
    parser.add_argument("timeline", type=Path)
    parser.add_argument("--exchange-info", type=Path, help="the venue's listing: ticks and steps for S13")
    parser.add_argument("--down", action="append", default=[], metavar="MS-MS", help="our process was down")
    arguments = parser.parse_args()
    try:
        terms = Terms(
            filters=filters_of(json.loads(arguments.exchange_info.read_bytes())) if arguments.exchange_info else {},
            absences=tuple(
                Absence(since=int(since), until=int(until))
                for since, _, until in (span.partition("-") for span in arguments.down)
            ),
        )
        verdict = judge_file(arguments.timeline, terms)
    except (OSError, ValueError, TimelineError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(report(verdict) + "\n")
    return 0 if verdict.clean else 1


def filters_of(listed: dict[str, Any]) -> dict[str, Filters]:
    """Tick and step of each symbol, of Binance's exchangeInfo or Bybit's instruments-info. Raises ValueError."""
    if "result" in listed:
        return {
            row["symbol"]: Filters(
                tick=Decimal(row["priceFilter"]["tickSize"]), step=Decimal(row["lotSizeFilter"]["qtyStep"])
            )
            for row in listed["result"]["list"]
        }
    found = {}
    for row in listed["symbols"]:
        rules = row["filters"]
        if not isinstance(rules, list):
            raise ValueError(f"exchangeInfo: filters of {row.get('symbol')} must be a list")
        by_type = {rule["filterType"]: rule for rule in rules}
        found[str(row["symbol"])] = Filters(
            tick=Decimal(by_type["PRICE_FILTER"]["tickSize"]), step=Decimal(by_type["LOT_SIZE"]["stepSize"])
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
