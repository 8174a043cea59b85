"""Frames of the wire: signals with exact numbers, or what is wrong with the frame and how it begins."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.signals.client import MAX_DEPTH, BadFrame, Signals, decode


def frame(*signals: object) -> str:
    return json.dumps({"type": "signals", "signals": signals})


def test_numbers_are_exact() -> None:
    decoded = decode('{"type": "signals", "signals": [{"score_week": 0.1000000000000000055511151231257827}]}')
    assert decoded == Signals(raw=({"score_week": Decimal("0.1000000000000000055511151231257827")},))


def test_what_is_no_signal_is_left_to_its_own_check() -> None:
    assert decode(frame({"id": "a"}, None, 7)) == Signals(raw=({"id": "a"}, None, 7))


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"\x00\x01", "binary frame: signals are text"),
        ("", "not JSON"),
        ("not json", "not JSON"),
        ('{"type": "signals", "signals": [NaN]}', "not JSON: NaN is no number"),
        ('{"type": "signals", "signals": [Infinity]}', "not JSON: Infinity is no number"),
        ("1" * 5000, "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", 'must be an object with "type": "signals"'),
        ("null", 'must be an object with "type": "signals"'),
        ("{}", 'must be an object with "type": "signals"'),
        ('{"type": "other", "signals": []}', 'must be an object with "type": "signals"'),
        ('{"type": "signals"}', '"signals" must be a list'),
        ('{"type": "signals", "signals": {}}', '"signals" must be a list'),
        (frame({"x": json.loads("[" * 100 + "]" * 100)}), f"nested more than {MAX_DEPTH} deep"),
        (frame({"x": json.loads('{"y":' * 100 + "1" + "}" * 100)}), f"nested more than {MAX_DEPTH} deep"),
    ],
)
def test_bad_frames(sent: str | bytes, said: str) -> None:
    decoded = decode(sent)
    assert isinstance(decoded, BadFrame)
    assert said in decoded.error
    assert len(decoded.begins) <= 250


@given(st.integers(0, 40))
def test_depth_is_the_nesting_of_the_frame(depth: int) -> None:
    """The frame, its list and the signal are three levels already."""
    sent = '{"type": "signals", "signals": [' + "[" * depth + "]" * depth + "]}"
    assert isinstance(decode(sent), Signals) == (depth + 2 <= MAX_DEPTH)


@given(st.text() | st.binary())
def test_nothing_raises(sent: str | bytes) -> None:
    assert isinstance(decode(sent), Signals | BadFrame)
