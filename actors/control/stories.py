"""The story of a signal for an operator: received, ranked, judged check by check, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CLOSED = ("closed", "rolled_back", "liquidated", "released")
WORDS = {
    "opened": "opened a position",
    "closing": "closed a position",
    "dry_run": "would have been carried out: this is a dry run",
    "not_needed": "better ones of its wave have all the places",
    "closed_since": "a close of its symbol came while it waited",
    "base_in_wave": "a better one of its wave has the same base currency",
}


FIRST = (
    "id", "recommended_action", "pair_symbol", "exchange_name", "account", "source", "score_week", "score_month",
    "created_at", "received_at", "wave", "wave_name", "wave_account", "wave_rank", "wave_size", "is_processed",
    "processed_at", "outcome", "outcome_figures",
)  # fmt: skip


def signal_story(row: Mapping[str, Any], position: Mapping[str, Any] | None) -> dict[str, object]:
    """All of a signal's row in the order in which things happened, why, and the position that it opened or closed."""
    told = {name: row[name] for name in FIRST}
    rest = {name: value for name, value in row.items() if name not in told}
    return {**told, "why": why(row), "position": None if position is None else _position(position), **rest}


def signal_line(row: Mapping[str, Any]) -> dict[str, object]:
    """A signal among others."""
    return {**row, "why": why(row)}


def why(row: Mapping[str, Any]) -> str:
    """The answer in words: the deciding figures behind its code, or what it waits for."""
    if not row["is_processed"]:
        return "not answered yet: its wave collects, or what it is judged by is not known yet"
    figures = ", ".join(f"{key} {value}" for key, value in (row["outcome_figures"] or {}).items())
    said = WORDS.get(row["outcome"], f"refused: {row['outcome']}")
    return f"{said} ({figures})" if figures else said


def _position(row: Mapping[str, Any]) -> dict[str, object]:
    names = ("id", "side", "status", "quantity", "entry_price", "stop_loss_price", "exit_price", "exit_reason")
    shown = {name: row[name] for name in names}
    if row["status"] in CLOSED:
        shown |= {"realized_pnl": row["realized_pnl"], "closed_at": row["closed_at"]}
    return {**shown, "unprotected_seconds": row["unprotected_seconds"]}
