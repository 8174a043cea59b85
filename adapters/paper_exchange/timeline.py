"""The append-only log of the paper exchange: its durable state, and the oracle's only evidence.

One JSON object a line. A step of the engine is written by one system call; every line of it but the last carries
`"more": true`. A file may end anywhere (kill -9, power): a torn last line, and lines of a step whose end is missing,
are dropped when it is opened again. Prices are written at once and made durable within a second; what answers a
request is durable before the reply.

A line is `{"seq", "t" (venue ms), "kind", ...}`. The kinds:

- `control` {command, asked, refused?}: a test plays venue or outsider; what it does follows. `struck`: a fault that it
  had ordered befalls something.
- `session` {event: start|stop, pid}; `snapshot` {states} (the whole state once more, nothing new in it).
- `request` {id, method, path, params} and `reply` {request, status, code}: `id` is the request line's own seq, `params`
  holds the query, the form or the JSON body's fields as they came. `code` is null when the request was granted.
- The states of `orders`, one line for each change, its fields in camel case; a decimal is a string, null is "none":
  `order`, `algo` (a conditional), `fill`, `position`, `balance`, `price`, `leverage`, `position_mode`, `insurance`,
  `listen_key`. One that a request caused carries `"request": <id>`; without it the venue (a trigger, another part of
  an order, a liquidation) or an outsider (`origin` "human", or a control request before it) did it.

Of positions and conditionals (fields that an older log lacks have the value in brackets):

- `positionSide` of order, algo, fill and position: BOTH in one-way mode, LONG or SHORT in hedge mode; the quantity of a
  position is signed, so that of a SHORT one is negative or 0. `position_mode` {symbol, hedge}: symbol "" is the whole
  account. In hedge mode every order against its side carries `reduceOnly` true: it cannot do more than close.
- `attached` (false) of an algo: it stands on the position of (symbol, positionSide) itself, has no client id ("") and
  is reduce-only. With `closePosition` true it closes whatever the position holds and its `quantity` is "0"; with false
  (Bybit's partial mode) it closes `quantity`. `type` STOP_MARKET is the stop, TAKE_PROFIT_MARKET the take-profit.
  It comes with status NEW: in the step of the entry's first fill, behind it, or by a request of its own.
- A change in place of any conditional is a new line of the same `algoId` with status NEW and the new `triggerPrice`,
  `quantity` or `workingType`; it never leaves the book meanwhile. Setting an attached stop anew is such a change.
- Cleared or cancelled by a request or a human: CANCELED. Gone because its position is flat or has turned: EXPIRED.
  Triggered: TRIGGERING, TRIGGERED (`actualOrderId`: its child, an `order` with `algoId`) and FINISHED, or REJECTED.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from adapters.paper_exchange.codec import Record

_BLOCK: Final = 1 << 20
_SNAPSHOT: Final = re.compile(rb'(?:\A|\n)(?=\{"seq":\d+,"t":\d+,"kind":"snapshot")')
_SNAPSHOT_HEAD: Final = 64


class StateDirInUse(Exception):
    """Another process holds the state directory."""


class TimelineDamaged(Exception):
    """A line in the middle of the log cannot be read."""


def read_timeline(path: Path) -> Iterator[dict[str, Any]]:
    """Every complete line of a timeline, oldest first; a torn last line is left out. Safe while it is being written."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            yield _parse(line, f"{path.name} line {number}")


class Timeline:
    """The log, open for appending by one process."""

    def __init__(self, state_dir: Path) -> None:
        """Open or make the log in `state_dir`; raises StateDirInUse, TimelineDamaged, OSError."""
        state_dir.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StateDirInUse(f"another paper exchange runs on {state_dir}") from None
        self.path = state_dir / "timeline.jsonl"
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._seq = 0
        self._unsynced = False
        self.lines_since_snapshot = 0

    def load(self) -> list[Record]:
        """The lines from the last snapshot on, or all of them; cuts off a torn end. Call once, before `append`."""
        start = self._last_snapshot()
        content = os.pread(self._file, os.fstat(self._file).st_size - start, start)
        complete: list[Record] = []
        step: list[Record] = []
        end = whole_until = 0
        for line in content.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            step.append(_parse(line, f"{self.path.name} at byte {start + end}"))
            end += len(line)
            if not step[-1].get("more"):
                complete += step
                whole_until = end
                step = []
        if whole_until < len(content):
            os.ftruncate(self._file, start + whole_until)
            os.fsync(self._file)
        if complete:
            self._seq = complete[-1]["seq"]
        self.lines_since_snapshot = len(complete)
        return complete

    @property
    def next_seq(self) -> int:
        """The seq that the next line gets."""
        return self._seq + 1

    def append(self, now: int, records: Iterable[Record]) -> int:
        """Write the records as one step; returns the seq of its last line. It survives kill -9 from here on."""
        step = list(records)
        text = []
        for place, record in enumerate(step, start=1):
            self._seq += 1
            line: Record = {"seq": self._seq, "t": now, **record}
            if place < len(step):
                line["more"] = True
            text.append(json.dumps(line, separators=(",", ":")) + "\n")
        if text:
            self._write("".join(text).encode())
            self.lines_since_snapshot += len(text)
        return self._seq

    def sync(self) -> None:
        """Make everything appended so far survive a power loss too; blocks, may be called from another thread."""
        if self._unsynced:
            self._unsynced = False
            os.fdatasync(self._file)

    def snapshot(self, now: int, states: Iterable[Record]) -> None:
        """Write the whole state as one line, from which the next `load` begins."""
        self.append(now, [{"kind": "snapshot", "states": list(states)}])
        self.lines_since_snapshot = 0

    def close(self) -> None:
        """Make all durable and let go of the directory."""
        self._unsynced = True
        self.sync()
        os.close(self._file)
        os.close(self._lock)

    def _write(self, data: bytes) -> None:
        self._unsynced = True
        write_all(self._file, data)

    def _last_snapshot(self) -> int:
        """Offset of the last complete snapshot line, 0 if there is none."""
        position = os.fstat(self._file).st_size
        tail = b""
        line_is_complete = False
        while position > 0:
            length = min(_BLOCK, position)
            position -= length
            block = os.pread(self._file, length, position) + tail
            for match in reversed(list(_SNAPSHOT.finditer(block))):
                # What begins in the tail was judged with the block before; at the block's own start the newline is
                # not in sight yet.
                if match.start() >= length or (match.end() == 0 and position > 0):
                    continue
                if line_is_complete or b"\n" in block[match.end() :]:
                    return position + match.end()
            line_is_complete = line_is_complete or b"\n" in block
            tail = block[:_SNAPSHOT_HEAD]
        return 0


def write_all(file: int, data: bytes) -> None:
    """Write every byte to a file descriptor; raises OSError."""
    while data:
        data = data[os.write(file, data) :]


def _parse(line: bytes, place: str) -> Record:
    try:
        record = json.loads(line)
    except ValueError as fault:
        raise TimelineDamaged(f"{place}: {fault}") from fault
    if not isinstance(record, dict):
        raise TimelineDamaged(f"{place}: not an object")
    return record
