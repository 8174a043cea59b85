"""The list of events that nothing produced cannot be short by mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from domain.catalogue import EventType
from tests.end_to_end import produced


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(produced, "FOLDER", tmp_path / "produced")
    return tmp_path


def logged(state_dir: Path, *events: str) -> None:
    (state_dir / "logs").mkdir(parents=True)
    lines = [json.dumps({"record": {"extra": {"event": event}}}) for event in events]
    (state_dir / "logs" / "holdfast.jsonl").write_text("\n".join([*lines, '{"record": {"ext']))


def test_without_a_run_everything_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert produced.main([]) == 1
    assert len(capsys.readouterr().out.splitlines()) == len(EventType)


def test_what_services_wrote_is_added_up(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logged(folder / "a", *(event.value for event in EventType if event is not EventType.FILL), "no_such_event")
    produced.note_service(folder / "a")
    assert produced.main([]) == 1
    assert capsys.readouterr().out == "fill: no running service produced it\n"
    logged(folder / "b", "fill")
    produced.note_service(folder / "b")
    assert produced.main([]) == 0
    assert produced.main(["--new"]) == 0
    assert produced.main([]) == 1


def test_a_field_that_no_entry_lists_is_a_complaint() -> None:
    seen = {event.value: set(event.fields) for event in EventType}
    assert produced.complaints(seen) == []
    seen["fill"].add("colour")
    seen["strange"] = set()
    assert produced.complaints(seen) == [
        "strange: is not in the catalogue", "fill: its entry lacks the field colour",
    ]  # fmt: skip
