"""What has to be true of a running service once it is left alone: everything owned, covered, answered, written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

import psycopg

from tests.end_to_end.agreement import conninfo, differences
from tests.end_to_end.fault_stage import Watch
from tests.end_to_end.service import ServiceProcess
from tests.oracle.facts import By
from tests.oracle.judge import Verdict


def not_whole(service: ServiceProcess, watch: Watch, symbols: Sequence[str]) -> list[str]:
    """Where the exchange and what the service shows are not yet as they have to be, in words (LAWS L1, L2)."""
    found: list[str] = []
    shown = {position["symbol"]: position for position in service.positions()}
    for symbol in symbols:
        held, stops = watch.resting((symbol, "BOTH"))
        position = shown.get(symbol)
        if not held:
            found += [f"{symbol}: flat, {len(stops)} stops rest"] if stops else []
            found += [f"{symbol}: flat, shown {position['state']}"] if position else []
        elif position is None or position["state"] != "ACTIVE" or Decimal(position["quantity"]) != abs(held):
            found.append(f"{symbol}: {held} on the exchange, shown {position and position['state']}")
        elif [(s.trigger, s.closing_quantity(abs(held))) for s in stops] != [
            (Decimal(position["stop_price"] or 0), abs(held))
        ]:
            found.append(f"{symbol}: {len(stops)} stops rest, shown {position['stop_price']}")
    return found


def unanswered(service: ServiceProcess, sent: Sequence[dict[str, object]]) -> list[str]:
    """The signals that were sent and are not stored and answered."""
    known = {row["id"]: row for row in service.ctl("signals", limit=1000)["signals"]}
    return [
        f"signal {row['id']} is not answered"
        for row in sent
        if not (row["id"] in known and known[row["id"]]["is_processed"])
    ]


def signals_wrong(service: ServiceProcess, sent: Sequence[dict[str, object]]) -> list[str]:
    """A signal that opened has opened one position, any other none (LAWS S7, S10)."""
    with psycopg.connect(conninfo(service.state_dir)) as connection:
        opened = connection.execute("SELECT correlation_id FROM monitoring.positions").fetchall()
    known, owners = outcomes(service), Counter(row[0] for row in opened)
    return [
        f"signal {row['id']} ({known.get(row['id'])}) opened {owners[row['id']]} positions"
        for row in sent
        if owners[row["id"]] != (1 if known.get(row["id"]) == "opened" else 0)
    ]


def outcomes(service: ServiceProcess) -> dict[object, str | None]:
    """What became of each signal, by its id."""
    with psycopg.connect(conninfo(service.state_dir)) as connection:
        return {row[0]: row[1] for row in connection.execute("SELECT id, outcome FROM fas.signals")}


def settled(service: ServiceProcess, watch: Watch, symbols: Sequence[str], sent: Sequence[dict[str, object]]) -> None:
    """Wait until it is whole and every signal is answered."""

    def wrong() -> list[str]:
        return not_whole(service, watch, symbols) + unanswered(service, sent)

    service.wait_for(lambda: not wrong(), 20, f"everything owned and answered, still: {wrong()}")


def judged(service: ServiceProcess, sent: Sequence[dict[str, object]]) -> Verdict:
    """No law broken, nothing uncovered by us, the books agree, each signal acted on once. Returns the verdict."""

    def disagreement() -> list[str]:
        return differences(service.state_dir, service.verdict(), same_ids=not service.bybit, over_only=True)

    service.wait_for(lambda: not disagreement(), 20, f"agreement, still: {disagreement()}")
    verdict = service.assert_lawful()
    uncovered = [i for i in verdict.measures.intervals if i.cause is By.US or (service.bybit and i.owner)]
    assert not uncovered, f"unprotected by us: {uncovered}"
    wrong = signals_wrong(service, sent)
    assert not wrong, "\n".join(wrong)
    return verdict
