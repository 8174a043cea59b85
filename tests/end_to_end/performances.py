"""Stories on a running service: what each failed with is kept for its test, and all are judged together in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.end_to_end.conftest import judge
from tests.end_to_end.fault_stage import Stage
from tests.end_to_end.service import ServiceProcess


@dataclass(frozen=True, slots=True)
class Performance:
    """What each story failed with, and what the oracle and the two books said in the end."""

    failures: Mapping[str, Exception | None]
    judgement: str


def tried(story: Callable[[Stage], None], stage: Stage) -> Exception | None:
    """Play a story to its end; what it failed with is kept for its test."""
    try:
        story(stage)
        stage.finish()
    except Exception as failure:
        stage.calm()
        return failure
    return None


def judged(service: ServiceProcess, failures: Mapping[str, Exception | None]) -> Performance:
    """All that was played on the service, with the laws and the books looked at."""
    try:
        judge(service)
    except (AssertionError, ArithmeticError) as found:
        return Performance(failures, f"{type(found).__name__}: {found}")
    return Performance(failures, "")
