"""Limits that stand in the settings and in the rules, because neither may import the other: they say the same.

Broken, it shows late: the settings take a value that each entry is refused for, or refuse one that the rules allow.
"""

from __future__ import annotations

from decimal import Decimal

from config import settings
from domain.entries import opening
from domain.position import places


def test_a_stop_may_be_set_as_far_away_as_the_rules_let_one_rest() -> None:
    assert Decimal(settings.FARTHEST_STOP_PCT) == places.FARTHEST_PCT


def test_a_take_profit_may_be_set_as_far_away_as_the_rules_let_one_rest() -> None:
    assert Decimal(settings.FARTHEST_TARGET_PCT) == opening.FARTHEST_TARGET_PCT
