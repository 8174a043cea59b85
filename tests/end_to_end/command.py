"""`python main.py …` as a process, in an environment that changes no setting behind a test's back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from config.sources import SHORT_NAMES

ROOT = Path(__file__).parents[2]


def run_main(
    *words: str, environ: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run `python main.py …` to its end."""
    return subprocess.run(
        [sys.executable, str(ROOT / "main.py"), *words],
        cwd=cwd,
        env=environment(environ or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Our environment without anything that would change the service's settings."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_") and k not in SHORT_NAMES
    }
    return {**kept, "COLUMNS": "240", **more}
