"""The folder that is mutated: a copy of domain/ and of the tests that speak of it, so that the tree stays untouched."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIVES = "tests/mutation/test_lives.py"
COPIED = ("domain", "tests/unit", "tests/properties", "tests/mutation", "docs")
_OURS = re.compile(r"^from domain\b", re.MULTILINE)
_OTHERS = re.compile(r"^ *(?:from|import) (?:actors|adapters|config|persistence|main)\b", re.MULTILINE)
_DECORATED = re.compile(
    r"^(?P<indent> *)@(?P<wrapper>property|derived\(.*\))\n"
    r"(?P<head>(?P=indent)def (?P<name>\w+)\(.*\n)"
    r"(?P<body>(?:(?P=indent) +\S.*\n)+)"
    r"(?:\n|\Z)",
    re.MULTILINE,
)
# The same mutants die on every run, and nothing is spent on telling of a failure well.
_PROFILE = """from hypothesis import Phase, settings

settings.register_profile(
    "mutation", derandomize=True, deadline=None, database=None, phases=[Phase.explicit, Phase.generate]
)
"""


def undecorated(source: str) -> str:
    """The same program, line for line, with properties and derived facts wrapped below the body, not above the name.

    mutmut leaves out what is decorated. Needs the blank line that ends a function.
    """
    return _DECORATED.sub(r"\n\g<head>\g<body>\g<indent>\g<name> = \g<wrapper>(\g<name>)\n", source)


def lay_out(folder: Path, files: Sequence[str]) -> None:
    """Fill `folder` with what mutmut needs to mutate `files` (paths from the root of the repository)."""
    for path in COPIED:
        shutil.copytree(ROOT / path, folder / path, ignore=shutil.ignore_patterns("__pycache__"))
    for name in files:
        target = folder / name
        target.write_text(undecorated(target.read_text()))
    # What is run against each mutant: the unit tests that know domain/ only, and some lives of a position, judged.
    tests = {path: path.read_text() for path in sorted((folder / "tests" / "unit").rglob("test_*.py"))}
    selected = [str(path.relative_to(folder)) for path, text in tests.items() if _speaks_of_domain_only(text)]
    mutmut = {
        "source_paths": ["domain"],
        "only_mutate": list(files),
        "also_copy": ["conftest.py", "docs"],
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-q", "--hypothesis-profile=mutation"],
        "pytest_add_cli_args_test_selection": [*selected, LIVES],
        "timeout_multiplier": 3.0,
        "timeout_constant": 1.0,
        "use_git_change_detection": False,
    }
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in mutmut.items())
    (folder / "conftest.py").write_text(_PROFILE)
    settings = (ROOT / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(f"{settings}\n[tool.mutmut]\n{lines}\n")


def _speaks_of_domain_only(test: str) -> bool:
    return _OURS.search(test) is not None and _OTHERS.search(test) is None
