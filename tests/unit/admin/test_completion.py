"""What a shell is told to complete, asked of a real shell."""

from __future__ import annotations

import shutil
import subprocess

import pytest

import main
from adapters.admin import completion
from adapters.admin.methods import METHODS


def completed(*words: str) -> set[str]:
    """What bash offers for the last of these words."""
    script = completion.script("bash", main.COMMANDS, python="python", main_py="main.py")
    typed = " ".join(f"'{word}'" for word in words)
    asked = f"{script}\nCOMP_WORDS=(holdfast {typed}); COMP_CWORD={len(words)}; _holdfast; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, timeout=20, check=True)
    assert not done.stderr
    return set(done.stdout.split())


def test_commands_methods_and_their_parameters() -> None:
    assert completed("re") == {"replay", "restore", "restore-archive"}
    assert {"position.open", "position.close", "positions"} <= completed("ctl", "posi")
    assert completed("ctl", "position.open", "st") == {"stop_pct=", "stop_price="}
    assert completed("ctl", "report", "--c") == {"--csv"}
    assert completed("ctl", "position.open", "symbol", "=") == set()
    assert completed("completion", "z") == {"zsh"}


def test_every_method_is_offered() -> None:
    assert {method.name for method in METHODS} <= completed("ctl", "")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_script_is_the_shells_own_language(shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    script = completion.script(shell, main.COMMANDS, python="/a b/python", main_py="it's.py")
    subprocess.run([program, "-n"], input=script, text=True, timeout=20, check=True)


@pytest.mark.parametrize("words", [[], ["fish"], ["bash", "zsh"]])
def test_another_shell_is_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["completion", *words]) == 2
    assert "bash|zsh" in capsys.readouterr().err
