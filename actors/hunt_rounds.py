"""One round of the hunt for zombie orders, and what all rounds on an account have come to. No message is sent here."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from actors.zombie_messages import ScanReport
from domain.agreement.zombies import Zombie
from domain.decimals import plain
from persistence.database import DatabaseAway

LISTED, WAITS = "listed", "waits"
CANCELLED, GONE, REFUSED, UNKNOWN, VANISHED = "cancelled", "gone", "refused", "unknown", "not there any more"
HOUR_S = 3600.0
FIRST_PAUSE_S = 15.0
LONGEST_PAUSE_S = 600.0
_TOTALS = ("rounds", "found", "cancelled", "gone", "refused", "unknown", "listed")


@dataclass(slots=True, kw_only=True)
class Round:
    """`cycle`: the reading of the whole account that it waits for, None: it waits for none. Times are monotonic."""

    number: int
    reason: str
    began: float
    dry_run: bool = False
    aggressive: bool = False
    uid: int | None = None
    cycle: int | None = None
    wanted_at: datetime | None = None
    asked_at: datetime | None = None
    orders: int = 0
    found: dict[str, dict[str, object]] = field(default_factory=dict)
    done: bool = False
    error: str | None = None

    def awaits(self, asked_at: datetime) -> bool:
        """Whether a reading that was asked for then is the one that it waits for, or a later one."""
        return self.cycle is not None and self.wanted_at is not None and asked_at >= self.wanted_at

    def note(self, zombie: Zombie) -> None:
        """A suspicion, nothing done about it yet."""
        self.found[zombie.key] = {**shown(zombie), "result": WAITS}

    def became(self, key: str, result: str, error: str | None = None) -> None:
        """What came of a suspicion."""
        self.found[key] |= {"result": result} if error is None else {"result": result, "error": error}

    def figures(self, now: float) -> dict[str, object]:
        """For the event of its end."""
        counts = Counter(str(row["result"]) for row in self.found.values())
        kinds = Counter(str(row["kind"]) for row in self.found.values() if row["result"] != VANISHED)
        return {
            "number": self.number,
            "reason": self.reason,
            "orders": self.orders,
            "found": sum(kinds.values()),
            **{name: counts[name] for name in (CANCELLED, GONE, REFUSED, UNKNOWN, LISTED)},
            "kinds": dict(kinds),
            "took_ms": int((now - self.began) * 1000),
            "error": self.error,
        }

    def report(self, totals: Mapping[str, object]) -> ScanReport:
        """For who asked for it."""
        return ScanReport(
            number=self.number,
            done=self.done,
            asked_at=self.asked_at,
            orders=self.orders,
            zombies=tuple(dict(row) for row in self.found.values()),
            totals=totals,
            error=self.error,
        )


class Alarm:
    """Whether more zombies than a limit came to light within an hour: then something makes them (SYSTEM C4, E2)."""

    def __init__(self) -> None:
        """None so far. Times are monotonic."""
        self._found_at: deque[float] = deque()
        self._raised = False

    @property
    def count(self) -> int:
        """How many within the last hour."""
        return len(self._found_at)

    def found(self, now: float) -> None:
        """One more."""
        self._found_at.append(now)

    def changed(self, now: float, limit: int) -> bool | None:
        """True: it is too many from now on, False: no more so, None: nothing new. A limit of 0 is none."""
        while self._found_at and self._found_at[0] <= now - HOUR_S:
            self._found_at.popleft()
        much = 0 < limit < len(self._found_at)
        if much is self._raised:
            return None
        self._raised = much
        return much


class Failures:
    """Cancels that came to nothing: tried again by later readings, each time after a longer pause."""

    def __init__(self) -> None:
        """None so far. Times are monotonic."""
        self._of: dict[str, tuple[int, float]] = {}

    def __contains__(self, key: str) -> bool:
        """Whether a cancel of it failed before."""
        return key in self._of

    def note(self, key: str, now: float) -> None:
        """One failed."""
        count = self._of[key][0] + 1 if key in self._of else 0
        self._of[key] = (count, now + min(FIRST_PAUSE_S * 2**min(count, 8), LONGEST_PAUSE_S))

    def pauses(self, key: str, now: float) -> bool:
        """Whether it is too early for another try."""
        return key in self._of and now < self._of[key][1]

    def keep(self, keys: AbstractSet[str]) -> None:
        """Of what is not there any more nothing need be known."""
        self._of = {key: each for key, each in self._of.items() if key in keys}


class Totals:
    """All rounds of an account, those of earlier lives among them once the database has told of them."""

    def __init__(self, account: str, recall: Callable[[str], Any]) -> None:
        """`recall` raises DatabaseAway."""
        self.key = f"zombies.{account}"
        self._recall = recall
        self._earlier: Counter[str] | None = None
        self._since: Counter[str] = Counter()

    def add(self, figures: Mapping[str, object]) -> None:
        """One round is over."""
        self._since["rounds"] += 1
        for name in _TOTALS[1:]:
            count = figures[name]
            self._since[name] += count if isinstance(count, int) else 0

    def now(self) -> dict[str, object]:
        """All that is known."""
        return {name: ((self._earlier or Counter()) + self._since)[name] for name in _TOTALS}

    def facts(self) -> dict[str, object] | None:
        """What to keep; None while the database cannot say what was kept: it must not be overwritten with less."""
        if self._earlier is None:
            try:
                kept = self._recall(self.key) or {}
            except DatabaseAway:
                return None
            self._earlier = Counter({name: int(kept.get(name, 0)) for name in _TOTALS})
        return {self.key: self.now()}


def shown(zombie: Zombie) -> dict[str, object]:
    """One finding, as events and operators see it."""
    order, ref = zombie.order, zombie.ref
    return {
        "symbol": ref.symbol,
        "kind": zombie.kind.value,
        "whose": "ours" if zombie.ours else "stranger",
        "order_id": ref.exchange_id,
        "client_id": ref.client_id,
        "side": None if order is None else order.side.value,
        "position_side": None if ref.position_side is None else ref.position_side.value,
        "quantity": None if order is None else plain(order.quantity),
        "trigger_price": None if zombie.trigger is None else plain(zombie.trigger),
    }
