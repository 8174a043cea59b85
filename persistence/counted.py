"""Which positions count in a span of time, and as what: one rule for the report, the digest, the records and the page.

Rules of this file:
- A position that never had an execution is no trade: it was neither opened nor closed, at most it failed.
- It is closed in the span in which it ended by us, by its stop or by the exchange. One that was handed back to a human
  (`released`) is not: nobody here knows how it ended.
- Its unprotected seconds count, all of them, in the span in which it was opened, and nowhere else. Only of a day that
  is not over more is shown (`unprotected_so_far`): what is open still, whenever opened, so that nothing bare is hidden.
- It is won if its gains less its fees are above zero, lost if below. Funding is in neither (docs/operations.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.position.state import Phase
from persistence.pool import ReadPool, Row

ENDED_AS = tuple(p.value for p in Phase if p.final and p not in (Phase.FAILED, Phase.RELEASED))
_ACCOUNT = "(%(account)s::text IS NULL OR account = %(account)s)"
ENDED = (
    "closed_at >= %(begin)s AND closed_at < %(end)s AND entry_price IS NOT NULL AND status = ANY(%(ended_as)s) "
    f"AND {_ACCOUNT}"
)
"""What is true of a row of positions that counts as closed in a `Span`."""
_OPENED = f"opened_at >= %(begin)s AND opened_at < %(end)s AND {_ACCOUNT}"
_ENDINGS = f"""
SELECT count(*) AS closed,
       count(*) FILTER (WHERE status = 'rolled_back') AS rolled_back,
       count(*) FILTER (WHERE status = 'liquidated') AS liquidated,
       count(*) FILTER (WHERE realized_pnl - fees > 0) AS won,
       count(*) FILTER (WHERE realized_pnl - fees < 0) AS lost,
       coalesce(sum(realized_pnl), 0) AS realized_pnl,
       coalesce(sum(fees), 0) AS fees,
       coalesce(sum(realized_pnl - fees), 0) AS net_pnl,
       max(realized_pnl - fees) AS best,
       min(realized_pnl - fees) AS worst
FROM monitoring.positions WHERE {ENDED}
"""  # noqa: S608 - all parts are of this file
_APART = f"""
SELECT coin, sum(amount::numeric) AS amount
FROM monitoring.positions, jsonb_each_text(fees_apart) AS each (coin, amount)
WHERE {ENDED} AND fees_apart IS NOT NULL GROUP BY coin ORDER BY coin
"""  # noqa: S608
_BEGINNINGS = f"""
SELECT count(*) FILTER (WHERE entry_price IS NOT NULL) AS opened,
       count(*) FILTER (WHERE status = 'failed') AS failed,
       coalesce(sum(unprotected_seconds), 0) AS unprotected_seconds,
       coalesce(max(unprotected_seconds), 0) AS longest_unprotected_s
FROM monitoring.positions WHERE {_OPENED}
"""  # noqa: S608
_SO_FAR = f"""
SELECT coalesce(sum(unprotected_seconds), 0) AS seconds FROM monitoring.positions WHERE open AND {_ACCOUNT} OR {_OPENED}
"""  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From `begin` up to, not including, `end`; of one account or (None) of all."""

    begin: datetime
    end: datetime
    account: str | None = None

    @property
    def asked(self) -> dict[str, object]:
        """The parameters that `ENDED` and the queries of this file name."""
        return {"begin": self.begin, "end": self.end, "account": self.account, "ended_as": list(ENDED_AS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endings:
    """The positions that ended in a span. `best`, `worst`: None: there is none. `fees_apart`: what `fees` lacks."""

    closed: int
    rolled_back: int
    liquidated: int
    won: int
    lost: int
    realized_pnl: Decimal
    fees: Decimal
    fees_apart: dict[str, Decimal]
    net_pnl: Decimal
    best: Decimal | None
    worst: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginnings:
    """The positions that were opened in a span; `failed` ones never had an execution."""

    opened: int
    failed: int
    unprotected_seconds: Decimal
    longest_unprotected_s: Decimal


def endings(pool: ReadPool, span: Span) -> Endings:
    """Raises DatabaseAway."""
    apart = {row["coin"]: row["amount"] for row in pool.rows(_APART, span.asked)}
    return Endings(**_one(pool, _ENDINGS, span), fees_apart=apart)


def beginnings(pool: ReadPool, span: Span) -> Beginnings:
    """Raises DatabaseAway."""
    return Beginnings(**_one(pool, _BEGINNINGS, span))


def unprotected_so_far(pool: ReadPool, span: Span) -> Decimal:
    """Of the positions opened in the span or open now, whatever day that was. Raises DatabaseAway."""
    return Decimal(_one(pool, _SO_FAR, span)["seconds"])


def _one(pool: ReadPool, query: str, span: Span) -> Row:
    row = pool.row(query, span.asked)
    assert row is not None  # noqa: S101 - an aggregate without GROUP BY has one row
    return row
