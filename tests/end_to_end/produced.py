"""`python -m tests.end_to_end.produced`: which events of the catalogue no running service produced in the tests.

Every service of the tests (a process of its own, on a real database) is asked at its end what it wrote, and its log
is read as well, since some events can only be said when nothing can be written. `make test` begins with an empty
folder, `make test-chaos` adds to it, `make events` says what is missing, or was written with fields that the catalogue
does not list, and fails then. Nothing is listed here by hand, so that nothing can be claimed that did not happen.
"""

from __future__ import annotations

import json
import shutil
import sys
import uuid
from collections.abc import Iterable
from pathlib import Path

import psycopg

from domain.catalogue import EventType
from persistence.inspection import running_embedded

FOLDER = Path(__file__).parents[2] / "build" / "produced"
ASKED = """
SELECT event_type, array_agg(DISTINCT key)
FROM monitoring.events e LEFT JOIN LATERAL jsonb_object_keys(e.event_data) AS key ON true GROUP BY event_type
"""
KNOWN = {event.value: event for event in EventType}


def note_service(state_dir: Path) -> None:
    """What the service on this directory has produced so far; its database is asked while it can be."""
    conninfo = running_embedded(state_dir / "pg")
    if conninfo is not None:
        note_database(conninfo)
    log = state_dir / "logs" / "holdfast.jsonl"
    if log.exists():
        _keep({event: [] for event in _logged(log.read_text(errors="replace").splitlines())})


def note_database(conninfo: str) -> None:
    """What is in this database; one that has gone, or has no schema yet, has nothing to say."""
    try:
        with psycopg.connect(conninfo, connect_timeout=5) as conn:
            found = {row[0]: [key for key in row[1] if key is not None] for row in conn.execute(ASKED)}
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
        return
    _keep(found)


def produced() -> dict[str, set[str]]:
    """The fields seen of each event that was produced."""
    seen: dict[str, set[str]] = {}
    for file in FOLDER.glob("*.json"):
        for event, fields in json.loads(file.read_text()).items():
            seen.setdefault(event, set()).update(fields)
    return seen


def complaints(seen: dict[str, set[str]]) -> list[str]:
    """What is wrong with the catalogue, or with the tests."""
    never = [f"{event.value}: no running service produced it" for event in EventType if event.value not in seen]
    unknown = [f"{name}: is not in the catalogue" for name in seen if name not in KNOWN]
    fields = [
        f"{name}: its entry lacks the field {field}"
        for name, each in sorted(seen.items())
        if name in KNOWN
        for field in KNOWN[name].unknown_fields(sorted(each))
    ]
    return [*never, *unknown, *fields]


def _logged(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        try:
            event = json.loads(line)["record"]["extra"].get("event")
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # the last line of a killed process
        if event in KNOWN:
            yield event


def _keep(found: dict[str, list[str]]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{uuid.uuid4().hex}.json").write_text(json.dumps(found))


def main(words: list[str]) -> int:
    """Say what is missing; `--new`: forget what was seen. Returns the exit code."""
    if words == ["--new"]:
        shutil.rmtree(FOLDER, ignore_errors=True)
        return 0
    wrong = complaints(produced())
    said = "\n".join(wrong) or f"all {len(EventType)} events were produced by running services, with known fields"
    sys.stdout.write(said + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
