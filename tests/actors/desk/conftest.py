"""A scene for each test: the desk and whom it talks to, over a real database; nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from persistence.embedded import EmbeddedPostgres
from tests.actors.desk.scene import Scene
from tests.actors.order_path.conftest import lines, nothing_left, stage
from tests.actors.order_path.stage import Stage
from tests.end_to_end.signal_source import SignalSource
from tests.persistence.conftest import Query, database, rows, server, template

__all__ = ["Query", "database", "lines", "nothing_left", "rows", "server", "stage", "template"]


@pytest.fixture
def source() -> Iterator[SignalSource]:
    """A real signal server that sends what a test tells it to."""
    with SignalSource() as started:
        yield started


@pytest.fixture
def scene(stage: Stage, server: EmbeddedPostgres, database: str, tmp_path: Path) -> Iterator[Scene]:
    """Nobody is on it yet."""
    scene = Scene(stage, server, database, tmp_path)
    yield scene
    stage.stop()
    scene.close()
