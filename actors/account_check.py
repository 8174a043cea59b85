"""Reads the account, judges it, tells what is wrong with it: each finding once, and its end too.

Runs on the gateway's event loop. A finding that refuses the account closes its entries and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from actors.clock import Clock
from actors.standing import ACCOUNT, Standing
from adapters.exchange.interface import TradingClient
from domain import accounts
from domain.accounts import AccountFacts, Expected, Finding
from domain.catalogue import EventType, Severity
from domain.decimals import plain
from domain.identity import PositionId
from domain.orders import RejectReason

EVERY_S = 3_600.0
REFUSED_EVERY_S = 30.0
SOON_S = 1.0


class Reporter(Protocol):
    """A gateway, as far as those who work for it need it."""

    @property
    def clock(self) -> Clock:
        """Time."""

    @property
    def fenced(self) -> bool:
        """Whether it was replaced."""

    def report(
        self,
        event: EventType,
        data: Mapping[str, object] | None = None,
        *,
        symbol: str | None = None,
        position_id: PositionId | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """Log and journal."""

    def tell(self, name: str, message: object) -> object:
        """A message to another actor."""


class AccountCheck:
    """One account's. `due_at` (monotonic) is when it is to be read next."""

    def __init__(
        self, client: TradingClient, actor: Reporter, standing: Standing, expected: Callable[[], Expected]
    ) -> None:
        """`expected` is what the settings say now; `standing` gets what is found."""
        self._client = client
        self._actor = actor
        self._standing = standing
        self._expected = expected
        self._told: dict[str, Finding] = {finding.code: finding for finding in standing.findings}
        self.due_at = 0.0

    async def read(self) -> AccountFacts:
        """Read, judge, tell."""
        self.due_at = self._actor.clock.monotonic() + REFUSED_EVERY_S
        facts = await self._client.account_facts()
        self.judge(facts)
        return facts

    def judge(self, facts: AccountFacts) -> None:
        """What these facts mean."""
        expected = self._expected()
        findings = accounts.judge(facts, expected)
        known = {finding.code: finding for finding in findings}
        for finding in findings:
            before = self._told.get(finding.code)
            if before is None or before.severity is not finding.severity:
                refuses = finding.severity is Severity.CRITICAL
                event = EventType.ACCOUNT_REFUSED if refuses else EventType.ACCOUNT_DOUBTFUL
                self._actor.report(event, {"code": finding.code, "reason": finding.text, **finding.figures})
        for code in self._told.keys() - known.keys():
            self._actor.report(EventType.ACCOUNT_MENDED, {"code": code})
        refusal = accounts.refusal(findings)
        if self._standing.facts is None or self._told.keys() != known.keys():
            self._actor.report(EventType.ACCOUNT_CHECKED, _summary(facts, findings, refusal))
        self._told = known
        self._standing.found(facts, findings, expected.margin_mode)
        self._standing.close(ACCOUNT, refusal)
        self.due_at = self._actor.clock.monotonic() + (REFUSED_EVERY_S if findings else EVERY_S)

    def doubt(self, reason: RejectReason) -> bool:
        """A request was refused; whether the account is to be read again at once, which is then due."""
        if reason is not RejectReason.CREDENTIALS or "key_refused" in self._told:
            return False
        self.due_at = min(self.due_at, self._actor.clock.monotonic() + SOON_S)
        return True


def _summary(facts: AccountFacts, findings: tuple[Finding, ...], refusal: str | None) -> dict[str, object]:
    used = None if facts.conditional is None else sum(facts.conditional.values())
    return {
        "findings": len(findings),
        "entries": "open" if refusal is None else "closed",
        "total": None if facts.total is None else plain(facts.total),
        "free": None if facts.free is None else plain(facts.free),
        "currency": facts.currency,
        "conditional_orders": used,
        "conditional_limit": facts.conditional_limit,
        "clock_ahead_ms": facts.clock_ahead_ms,
    }
