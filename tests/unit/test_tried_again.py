"""The second try of continuous integration: what failed by chance passes, what is broken does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tried_again import MOST_FILES, main

BY_CHANCE = """
import pathlib
import pytest

HERE = pathlib.Path(__file__)

@pytest.fixture(scope="module")
def tries():
    mark = HERE.with_suffix(".tries")
    mark.write_text(mark.read_text() + "." if mark.exists() else ".")
    return mark.read_text()

def test_one(tries):
    assert len(tries) > 1

def test_other(tries):
    pass
"""
BROKEN = "def test_one():\n    assert False\n"
SOUND = "def test_one():\n    pass\n"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the run around this one was told is not for these."""
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def given(root: Path, **texts: str) -> None:
    for name, text in texts.items():
        (root / f"test_{name}.py").write_text(text)


def test_a_performance_that_failed_by_chance_is_given_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given(tmp_path, chance=BY_CHANCE, sound=SOUND)
    assert main(["-q"], tmp_path) == 0
    said = capfd.readouterr().out
    assert "TRIED AGAIN, each to be mended: test_chance.py\n" in said
    assert "TRIED AGAIN, exit code 0: test_chance.py\n" in said
    assert (tmp_path / "test_chance.tries").read_text() == ".."


def test_what_is_broken_fails(tmp_path: Path) -> None:
    given(tmp_path, broken=BROKEN, chance=BY_CHANCE)
    assert main(["-q"], tmp_path) == 1


def test_many_that_fail_are_no_chance(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given(tmp_path, **{f"chance{n}": BY_CHANCE for n in range(MOST_FILES + 1)})
    assert main(["-q"], tmp_path) == 1
    assert "TRIED AGAIN" not in capfd.readouterr().out


def test_a_file_that_cannot_be_read_is_no_chance(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given(tmp_path, unreadable="def (", sound=SOUND)
    assert main(["-q"], tmp_path) == 2
    assert "TRIED AGAIN" not in capfd.readouterr().out


def test_the_choice_of_marks_holds_for_the_second_try(tmp_path: Path) -> None:
    given(tmp_path, chance=BY_CHANCE + "\n@pytest.mark.slow\ndef test_left_out():\n    assert False\n")
    assert main(["-q", "-m", "not slow"], tmp_path) == 0
