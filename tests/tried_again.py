"""`python -m tests.tried_again ARGS…`: pytest, and then the files of what failed once more, whole and by themselves.

Continuous integration runs thousands of tests with real processes and real time on a machine that others use.
pytest-rerunfailures tries a test again where it stands; that is no second try for tests that judge one performance of
many stories by a service of their module. What fails in a new process fails. More than a few files that failed, a
collection that failed or a pytest that broke is no chance: there is no second try. Each is named at the end, so that
somebody mends it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_FILES = 3


def main(args: Sequence[str], root: Path = ROOT) -> int:
    """The exit code of pytest below `root`; that of the second try where there is one."""
    cache = root / "build" / "tried_again"
    shutil.rmtree(cache, ignore_errors=True)
    code = _pytest(root, cache, *args)
    files = _failed_files(cache) if code == pytest.ExitCode.TESTS_FAILED else []
    if not 0 < len(files) <= MOST_FILES:
        return code
    _say(f"TRIED AGAIN, each to be mended: {' '.join(files)}")
    code = _pytest(root, cache, *_marks(args), *files)
    _say(f"TRIED AGAIN, exit code {code}: {' '.join(files)}")
    return code


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _pytest(root: Path, cache: Path, *args: str) -> int:
    command = [sys.executable, "-m", "pytest", "-o", f"cache_dir={cache}", *args]
    return subprocess.run(command, cwd=root, check=False).returncode


def _failed_files(cache: Path) -> list[str]:
    """What pytest remembers of its last run: the files of its failures and errors."""
    known = cache / "v" / "cache" / "lastfailed"
    return sorted({node.split("::")[0] for node in json.loads(known.read_text())}) if known.exists() else []


def _marks(args: Sequence[str]) -> list[str]:
    """The choice of marks among the arguments."""
    return ["-m", args[args.index("-m") + 1]] if "-m" in args else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
