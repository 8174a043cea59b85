"""The database for a command that is no service: one that somebody runs, or the embedded one, started for so long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from persistence.embedded import EmbeddedPostgres
from persistence.inspection import running_embedded


@contextmanager
def at_hand(url: str, base: Path) -> Iterator[str]:
    """How to connect, while the block lasts. `base` is where the embedded server lies; it is not made where it is not.

    Raises FileNotFoundError, EmbeddedFailed, AlreadyRunning.
    """
    running = url or running_embedded(base)
    if running is not None:
        yield running
        return
    if not (base / "pgdata").exists():
        raise FileNotFoundError(f"{base}: there is no embedded database; nothing was ever written here")
    server = EmbeddedPostgres(base)
    try:
        yield server.start()
    finally:
        server.stop()
