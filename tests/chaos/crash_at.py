"""kill -9 at a given line of the order path.

    python -m tests.chaos.crash_at --list                       every point, by phase
    python -m tests.chaos.crash_at --all [--from N] [--every K] kill at each of them, on both dialects; a table
    python -m tests.chaos.crash_at --point NAME [--nth N]       kill at one
    python -m tests.chaos.crash_at PAGE run --settings FILE     the service itself, ready to die: what the others start

The service is `main.py`, unchanged; the modules of the order path are compiled with a call of the hook between their
statements (`crash_points`), in memory only. There is none in production.
"""

from __future__ import annotations

import builtins
import importlib.abc
import importlib.machinery
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

from tests.chaos.crash_page import CrashPage
from tests.chaos.crash_points import HOOK, ROOT, all_points, modules, with_hooks


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        """The module's code with hooks; nothing of it is kept on the disk."""
        code: CodeType = compile(with_hooks(modules()[fullname]), self.path, "exec", dont_inherit=True)
        return code


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Only the modules of the order path."""
        if fullname not in modules():
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin)
        return spec


def run_service(page: Path, words: list[str]) -> None:
    """Become `python main.py …` with hooks in it."""
    setattr(builtins, HOOK, CrashPage(page, len(all_points())).hook())
    sys.meta_path.insert(0, _Finder())
    main = ROOT / "main.py"
    sys.argv = [str(main), *words]
    runpy.run_path(str(main), run_name="__main__")


def main() -> int:
    """The command line."""
    if len(sys.argv) > 2 and not sys.argv[1].startswith("-"):
        run_service(Path(sys.argv[1]), sys.argv[2:])
        return 0
    from tests.chaos.crash_command import visit

    return visit(sys.argv[1:], __doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
