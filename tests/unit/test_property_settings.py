"""A busy machine fails no property test (see `tests/conftest.py`)."""

from __future__ import annotations

import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@settings(max_examples=1)
@given(st.booleans())
def test_an_example_may_take_its_time(either: bool) -> None:
    time.sleep(0.25)
    assert either in (True, False)


def test_no_deadline_and_no_judgement_of_speed() -> None:
    assert settings.default is not None
    assert settings.default.deadline is None
    assert HealthCheck.too_slow in settings.default.suppress_health_check
