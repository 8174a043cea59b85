"""What this machine must remember when the database cannot be read: whose accounts these are, the open positions, and
the few facts that must hold then too (a kill switch in force).

One file in the state directory, 0600: a line with length and checksum, then JSON. It is replaced whole (fsynced, then
renamed), so it is always one that was complete. Rules of this file: the states of positions in it are durable elsewhere
(database or spool), so it is never ahead of the book; it is saved at most once a second, and never for more than a
twentieth of the time, but for such a fact, which is saved at once; a new term is in it before anything is sent under
it, or the file is gone.
"""

from __future__ import annotations

import json
import os
import threading
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from domain.identity import PositionId
from domain.position.state import Position
from persistence.codec import position_from_json, position_to_json

_MARK = b"holdfast-local-1"
SAVE_APART_S = 1.0
SAVING_SHARE = 20


class DamagedBook(Exception):
    """The file is there and cannot be believed; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenure:
    """What is remembered of one account: the term we hold it under, and the highest seen anywhere.

    `released`: it was given back in order, so another machine may have it.
    """

    exchange: str
    fingerprint: str
    term: int
    seen: int = 0
    released: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The file's content. `lives`: how many processes have begun under these terms without the database.

    `facts`: see `LocalBook.keep`.
    """

    instance: str
    host: str
    tenures: Mapping[str, Tenure]
    lives: int = 0
    positions: tuple[Position, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Page:
    position: Position
    text: str = field(default="")


class LocalBook:
    """The book of one process. Thread-safe; `save` does the work, whoever else writes only notes."""

    def __init__(self, path: Path) -> None:
        """Nothing is read or written yet."""
        self._path = path
        self._memory: Memory | None = None
        self._pages: dict[PositionId, _Page] = {}
        self._changed = False
        self._due_at = 0.0
        self._mutex = threading.Lock()
        self._saving = threading.Lock()

    def read(self) -> Memory | None:
        """What an earlier life left; None when there is no file. Raises DamagedBook, OSError."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        head, _, body = data.partition(b"\n")
        if head != _head(body):
            raise DamagedBook(f"{self._path}: the checksum does not fit, the file is damaged")
        try:
            return _memory(json.loads(body))
        except (ValueError, KeyError, TypeError) as fault:
            raise DamagedBook(f"{self._path}: {type(fault).__name__}: {fault}") from fault

    def begin(self, memory: Memory) -> None:
        """Remember a new tenure, durably, before anything is sent under it.

        Raises OSError when it cannot be: then there is no file, rather than one that names an older term. One of these
        very terms stays (a full disk takes the database along): it is all that the next start has, and who began here
        must not act.
        """
        with self._mutex:
            self._memory = replace(memory, positions=())
            self._pages = {p.id: _Page(p) for p in memory.positions}
            self._changed = True
        try:
            self.save()
        except OSError:
            if not self._names_terms_of(memory):
                self._path.unlink(missing_ok=True)
            raise

    def _names_terms_of(self, memory: Memory) -> bool:
        try:
            kept = self.read()
        except (DamagedBook, OSError):
            return False
        return kept is not None and _terms(kept) == _terms(memory)

    def hold(self, positions: Iterable[Position]) -> None:
        """These are all open positions there are, from now on."""
        with self._mutex:
            self._pages = {p.id: _Page(p) for p in positions}
            self._changed = True

    def note(self, position: Position) -> None:
        """A state has become durable. Costs nothing but a place in a table."""
        with self._mutex:
            known = self._pages.get(position.id)
            if known is not None and (known.position.epoch, known.position.version) >= (
                position.epoch,
                position.version,
            ):
                return
            if position.phase.final:
                self._pages.pop(position.id, None)
            else:
                self._pages[position.id] = _Page(position)
            self._changed = True

    def saw_term(self, account: str, term: int) -> None:
        """A term of ours that is higher than the one we hold was seen: the next start has to exceed it."""
        self._change(account, seen=term)

    def release(self, account: str) -> None:
        """The account was given back in order."""
        self._change(account, released=True)

    def keep(self, key: str, value: object) -> None:
        """A fact that has to be in force on this machine from now on, whatever becomes of the database.

        Raises OSError: it is remembered, and the next saving tries to write it.
        """
        with self._mutex:
            if self._memory is None:
                return
            self._memory = replace(self._memory, facts={**self._memory.facts, key: value})
            self._changed = True
        self.save()

    def fact(self, key: str) -> Any:
        """What was kept under `key`, by this life or one before it; None when nothing was."""
        memory = self._memory
        return None if memory is None else memory.facts.get(key)

    @property
    def due(self) -> bool:
        """Whether there is something to save, and enough time has passed since that was done last."""
        return self._changed and time.monotonic() >= self._due_at

    def save(self) -> None:
        """Write what has changed, durably. Raises OSError; then what there was is still there."""
        with self._saving:
            began = time.monotonic()
            with self._mutex:
                memory, pages = self._memory, list(self._pages.values())
                if memory is None:
                    return
                self._changed = False
            try:
                _replace(self._path, _body(memory, pages))
            except OSError:
                self._changed = True
                raise
            finally:
                took = time.monotonic() - began
                self._due_at = began + max(SAVE_APART_S, took * SAVING_SHARE)

    def _change(self, account: str, **changes: Any) -> None:
        with self._mutex:
            memory = self._memory
            if memory is None or account not in memory.tenures:
                return
            tenure = replace(memory.tenures[account], **changes)
            self._memory = replace(memory, tenures={**memory.tenures, account: tenure})
            self._changed = True


def _body(memory: Memory, pages: Iterable[_Page]) -> bytes:
    """One position a line; each is written out once, and lets whoever waits for the interpreter have it in between."""
    lines = []
    for page in pages:
        if not page.text:
            page.text = position_to_json(page.position)
            time.sleep(0)
        lines.append(page.text)
    tenures = {
        name: {"exchange": t.exchange, "fingerprint": t.fingerprint, "term": t.term, "seen": t.seen,
               "released": t.released}
        for name, t in memory.tenures.items()
    }  # fmt: skip
    head = {"instance": memory.instance, "host": memory.host, "lives": memory.lives, "tenures": tenures,
            "facts": dict(memory.facts)}  # fmt: skip
    return b'{"head":%s,"positions":[\n%s\n]}' % (json.dumps(head).encode(), ",\n".join(lines).encode())


def _memory(told: Any) -> Memory:
    head = told["head"]
    return Memory(
        instance=str(head["instance"]),
        host=str(head["host"]),
        lives=int(head["lives"]),
        tenures={
            name: Tenure(
                exchange=str(t["exchange"]),
                fingerprint=str(t["fingerprint"]),
                term=int(t["term"]),
                seen=int(t["seen"]),
                released=bool(t["released"]),
            )
            for name, t in head["tenures"].items()
        },
        positions=tuple(position_from_json(json.dumps(state)) for state in told["positions"]),
        facts=dict(head.get("facts", {})),
    )


def _terms(memory: Memory) -> dict[str, tuple[str, str, int]]:
    return {name: (t.exchange, t.fingerprint, t.term) for name, t in memory.tenures.items()}


def _head(body: bytes) -> bytes:
    return b"%s %d %08x" % (_MARK, len(body), zlib.crc32(body))


def _replace(path: Path, body: bytes) -> None:
    fresh = path.with_suffix(".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(_head(body) + b"\n" + body)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
