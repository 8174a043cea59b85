"""What a shell is told to complete, asked of a real shell."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Self

import pytest

import main
from adapters.admin import completion
from adapters.admin.methods import METHODS

LIMIT_S = 30.0


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


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_value_typed_after_a_completed_parameter_belongs_to_it(shell: str, tmp_path: Path) -> None:
    """At a terminal, with the keys that an operator presses."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    script = tmp_path / "script"
    script.write_text(completion.script(shell, main.COMMANDS, python="python", main_py="main.py"))
    with Terminal([program, *(["-f"] if shell == "zsh" else ["--norc", "-i"])], tmp_path) as terminal:
        terminal.type(f". {script}; holdfast() {{ echo \"<$*>\"; }}; PS1='re''ady '\n", until="ready ")
        terminal.type("holdfast ctl position.op\tsy\tBTCUSDT stop_pr\t95\n", until=">")
        assert "<ctl position.open symbol=BTCUSDT stop_price=95>" in terminal.said


class Terminal:
    """A shell at a terminal of its own."""

    def __init__(self, words: list[str], home: Path) -> None:
        self.said = ""
        ours, its = pty.openpty()
        environ = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "dumb", "PS1": "$ "}
        self._shell = subprocess.Popen(words, stdin=its, stdout=its, stderr=its, env=environ, start_new_session=True)
        os.close(its)
        self._terminal = ours

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._shell.kill()
        self._shell.wait()
        os.close(self._terminal)

    def type(self, keys: str, until: str) -> None:
        """Press keys and read until the shell said something; that takes what it was until then as read."""
        self.said = ""
        os.write(self._terminal, keys.encode())
        deadline = time.monotonic() + LIMIT_S
        while until not in self.said:
            left = max(0.0, deadline - time.monotonic())
            assert select.select([self._terminal], [], [], left)[0], f"no {until!r} in {self.said!r}"
            self.said += os.read(self._terminal, 4096).decode(errors="replace")


@pytest.mark.parametrize("words", [[], ["fish"], ["bash", "zsh"]])
def test_another_shell_is_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["completion", *words]) == 2
    assert "bash|zsh" in capsys.readouterr().err
