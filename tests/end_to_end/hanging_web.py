"""`python -m tests.end_to_end.hanging_web …`: becomes `main.py …`, with a web server that can be made to hang.

Who asks for `/hang` stops the server's loop for ever: nobody gets an answer any more, nor does whoever had one coming.
"""

from __future__ import annotations

import runpy
import sys
import threading

from starlette.types import Receive, Scope, Send

from adapters.web.gate import Gate
from tests.end_to_end.command import ROOT

_let_in = Gate.__call__


async def _or_hang(gate: Gate, scope: Scope, receive: Receive, send: Send) -> None:
    if scope.get("path") == "/hang":
        threading.Event().wait()
    await _let_in(gate, scope, receive, send)


if __name__ == "__main__":
    Gate.__call__ = _or_hang  # type: ignore[method-assign, assignment]
    sys.argv[0] = str(ROOT / "main.py")
    runpy.run_path(sys.argv[0], run_name="__main__")
