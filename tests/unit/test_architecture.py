"""The floors of DESIGN 2 hold: imports run one way; domain knows no clock, thread, library, nor float for money.

A float in domain may be a duration and nothing else: in timedelta(...), or under a name that ends in _s (seconds).
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("actors", "adapters", "config", "domain", "persistence")
# Whatever would make a decision depend on more than its event and the time given with it.
IMPURE = {
    *(
        "asyncio",
        "concurrent",
        "ctypes",
        "http",
        "io",
        "logging",
        "multiprocessing",
        "os",
        "pathlib",
        "queue",
        "random",
    ),
    *(
        "secrets",
        "select",
        "selectors",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "sys",
        "tempfile",
    ),
    *("threading", "time", "urllib", "uuid"),
}
CLOCK_READINGS = frozenset({"now", "utcnow", "today"})

DOMAIN = sorted((ROOT / "domain").rglob("*.py"))
OURS = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def _seconds(node: ast.AST) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.arg if isinstance(node, ast.arg) else ""
    return name.lower().endswith("_s")


def durations(tree: ast.AST) -> set[ast.AST]:
    """The nodes in which a float is a length of time."""
    inside: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "timedelta":
            inside.update(ast.walk(node))
        if isinstance(node, ast.Assign) and all(_seconds(target) for target in node.targets):
            inside.update(ast.walk(node.value))
        if (isinstance(node, ast.AnnAssign) and _seconds(node.target)) or (
            isinstance(node, ast.arg) and _seconds(node)
        ):
            inside.update(ast.walk(node))
    return inside


def impurities(source: str) -> list[str]:
    """What a file of domain must not hold, each with its line."""
    tree = ast.parse(source)
    found = []
    for name in imported(tree):
        root = name.partition(".")[0]
        if root != "domain" and root not in sys.stdlib_module_names:
            found.append(f"imports {name}, neither domain nor the standard library")
        if root in IMPURE:
            found.append(f"imports {name}")
    times = durations(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "float" and node not in times:
            found.append(f"line {node.lineno}: float")
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and node not in times:
            found.append(f"line {node.lineno}: {node.value} is a float")
        if isinstance(node, ast.Attribute) and node.attr in CLOCK_READINGS:
            owner = ast.unparse(node.value).rpartition(".")[2]
            if owner in ("datetime", "date"):
                found.append(f"line {node.lineno}: reads the clock by {owner}.{node.attr}")
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("open", "print", "input")
        ):
            found.append(f"line {node.lineno}: {node.func.id}()")
    return found


def test_imports_run_one_way() -> None:
    """import-linter with the contracts of pyproject.toml."""
    program = Path(sys.executable).with_name("lint-imports")
    out = subprocess.run(
        [sys.executable, str(program), "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert out.returncode == 0, out.stdout + out.stderr
    assert " 0 broken" in out.stdout


@pytest.mark.parametrize("path", DOMAIN, ids=named)
def test_domain_is_pure(path: Path) -> None:
    assert impurities(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from threading import Lock",
        "import pykka",
        "from actors import position",
        "x: float = 1",
        "x = 0.5",
        "price = float(quantity)",
        "STOP_PCT = 0.5",
        "def f(price: float, pause_s: float) -> None: ...",
        "from datetime import datetime\nx = datetime.now()",
        "import datetime\nx = datetime.datetime.now(datetime.UTC)",
        "print(1)",
    ],
)
def test_an_impure_file_would_be_seen(source: str) -> None:
    assert impurities(source)


def test_a_pure_file_passes() -> None:
    assert impurities('from datetime import datetime\nfrom decimal import Decimal\nx = Decimal("0.5")\n') == []
    assert (
        impurities(
            "from datetime import timedelta\nPAUSE_S = 0.5\nx = timedelta(seconds=float(1) * 0.5)\n"
            "def f(pause_s: float) -> None: ...\n"
        )
        == []
    )


def test_every_folder_is_a_package() -> None:
    folders = {path.parent for path in OURS}
    assert [named(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
