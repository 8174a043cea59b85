"""`python -m tests.mutation [FILE …]`: how many small changes of domain/ the tests notice.

Exit code 0: each file reaches the floor; 1: one does not; 2: nothing could be said, the tests fail as it is.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutation import ground, report

FLOOR = 90.0


def main() -> int:
    """Mutate, test, tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("files", nargs="*", help="files under domain/; all when none is named")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--last-digits", default="", help="a sample: only mutants whose number ends in one of these")
    options = parser.parse_args()
    everything = (str(path.relative_to(ground.ROOT)) for path in (ground.ROOT / "domain").rglob("*.py"))
    files: list[str] = sorted(options.files or (name for name in everything if not name.endswith("__init__.py")))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name)
        ground.lay_out(folder, files)
        program = Path(__file__).with_name("operators.py")
        log = folder / "mutmut.log"
        with log.open("wb") as out:
            # -P: the program's own folder is not searched, so that `domain` and `tests` are those of the copy.
            sample = [f"*__mutmut_*[{options.last_digits}]"] if options.last_digits else []
            command = [sys.executable, "-P", str(program), str(options.workers), *sample]
            ran = subprocess.run(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, check=False)
        if ran.returncode != 0:
            sys.stderr.write(log.read_text(errors="replace")[-4_000:] + "\n")
            return 2
        scores = [report.read(folder, name) for name in files if (folder / "mutants" / f"{name}.spans").exists()]
    sys.stdout.write(f"{report.survivors(scores)}\n\n{report.table(scores)}\n\n{time.monotonic() - began:.0f} s\n")
    return 0 if all(score.percent >= FLOOR for score in scores) else 1


if __name__ == "__main__":
    sys.exit(main())
