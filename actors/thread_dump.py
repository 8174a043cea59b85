"""Where every thread of the process is just now, for a human who asks why nothing moves."""

from __future__ import annotations

import sys
import threading
import traceback


def thread_dump() -> str:
    """The stacks of all threads, for a signal that asks why nothing moves."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = [
        f"--- {names.get(ident, ident)}\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()
    ]
    return "\n".join(parts)
