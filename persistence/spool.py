"""Records on local disk while the database is away: durable before `append` returns, replayed in order, then dropped.

Rules of this file: a segment file is only ever appended to, by the process that made it; a start opens a new one, so a
torn line (the machine died inside an append that nobody was told had succeeded) can stand at the end of a segment
only. A segment is removed when all its records were dropped; a crash before that replays some of them once more, which
the record ids make harmless. What cannot be read though it was once acknowledged is kept (`.damaged`) and reported.
"""

from __future__ import annotations

import errno
import os
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from domain.records import Record
from persistence.codec import record_from_json, record_to_json

_SEGMENT_LIMIT = 4 * 1024 * 1024
_PREFIX = b'{"crc":"%08x","record":'
_PREFIX_LENGTH = len(_PREFIX % 0)


class SpoolFull(Exception):
    """The disk takes no more; nothing of the group was kept, and what was appended earlier is whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A line that was acknowledged and can no longer be read."""

    segment: str
    line: int
    why: str


@dataclass(slots=True)
class _Segment:
    path: Path
    waiting: dict[str, None] = field(default_factory=dict)
    size: int = 0
    damaged: bool = False


class Spool:
    """The spool of one process. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        """Takes over what an earlier process left in `directory`. Raises OSError when it cannot be read."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._mutex = threading.Lock()
        self._fd: int | None = None
        self._damages: list[Damage] = []
        self._told = 0
        self._segments = [_Segment(path) for path in sorted(directory.glob("*.jsonl"))]
        self._next = 1 + max((int(path.name[:10]) for path in directory.glob("[0-9]*.jsonl*")), default=0)
        for segment in self._segments:
            segment.waiting = {record.record_id: None for record in self._read(segment)}
        for segment in [segment for segment in self._segments if not segment.waiting]:
            self._remove(segment)

    @property
    def count(self) -> int:
        """Records that wait to be replayed."""
        with self._mutex:
            return sum(len(segment.waiting) for segment in self._segments)

    @property
    def bytes(self) -> int:
        """Size of the segments on disk."""
        with self._mutex:
            return sum(segment.size for segment in self._segments)

    @property
    def damages(self) -> tuple[Damage, ...]:
        """What could not be read."""
        with self._mutex:
            return tuple(self._damages)

    def untold(self) -> tuple[Damage, ...]:
        """What could not be read and has not been handed out here before: for whoever raises the alarm."""
        with self._mutex:
            new = tuple(self._damages[self._told :])
            self._told += len(new)
            return new

    def append(self, records: Sequence[Record]) -> None:
        """Keep `records`; on return they survive the death of the process and of the machine.

        Raises SpoolFull, OSError for any other failure of the disk, ValueError or TypeError for a record that has no
        JSON form: then none of the group is kept.
        """
        if not records:
            return
        lines = b"".join(_line(record) for record in records)
        with self._mutex:
            segment, fd = self._open_segment()
            try:
                _write_whole(fd, lines)
                os.fdatasync(fd)
            except OSError as fault:
                self._undo(segment, fd)
                if fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise SpoolFull(
                        f"{segment.path}: {len(records)} records ({len(lines)} bytes) not kept: {fault.strerror}"
                    ) from fault
                raise
            segment.size += len(lines)
            segment.waiting.update({record.record_id: None for record in records})

    def pending(self) -> Iterator[Record]:
        """What waits, oldest first, as it is when the iteration starts. Raises OSError when a segment is unreadable."""
        with self._mutex:
            waiting = [(segment, dict(segment.waiting)) for segment in self._segments]
        for segment, ids in waiting:
            if ids:
                yield from (record for record in self._read(segment) if ids.pop(record.record_id, 0) is None)

    def drop(self, record_ids: Iterable[str]) -> None:
        """Forget records that are in the database now. Raises OSError when a file cannot be removed."""
        ids = set(record_ids)
        with self._mutex:
            for segment in list(self._segments):
                for record_id in ids & segment.waiting.keys():
                    del segment.waiting[record_id]
                if not segment.waiting:
                    self._remove(segment)

    def close(self) -> None:
        """Close the open segment; what waits stays on disk."""
        with self._mutex:
            self._close_segment()

    def _open_segment(self) -> tuple[_Segment, int]:
        if self._fd is not None and self._segments[-1].size < _SEGMENT_LIMIT:
            return self._segments[-1], self._fd
        self._close_segment()
        path = self._directory / f"{self._next:010}.jsonl"
        try:
            fd = self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._sync_directory()
        except OSError as fault:
            self._close_segment()
            if fault.errno in (errno.ENOSPC, errno.EDQUOT):
                raise SpoolFull(f"{path}: cannot be made: {fault.strerror}") from fault
            raise
        self._next += 1
        self._segments.append(_Segment(path))
        return self._segments[-1], fd

    def _close_segment(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _undo(self, segment: _Segment, fd: int) -> None:
        """Cut off what a failed append left; after a failed fsync nothing can be trusted of this file but its past.

        A file without a past goes: on a full disk every append would leave another one.
        """
        try:
            os.ftruncate(fd, segment.size)
        finally:
            self._close_segment()
        if not segment.waiting:
            with suppress(OSError):  # the failure that is told is the append's
                self._remove(segment)

    def _remove(self, segment: _Segment) -> None:
        if self._segments and segment is self._segments[-1]:
            self._close_segment()
        if segment.damaged:
            segment.path.rename(segment.path.with_suffix(".jsonl.damaged"))
        else:
            segment.path.unlink(missing_ok=True)
        self._segments.remove(segment)
        self._sync_directory()

    def _sync_directory(self) -> None:
        fd = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _read(self, segment: _Segment) -> Iterator[Record]:
        data = segment.path.read_bytes()
        segment.size = max(segment.size, len(data))
        lines = data.split(b"\n")
        for number, line in enumerate(lines[:-1], 1):  # what follows the last line end was never acknowledged
            try:
                record = _record(line)
            except ValueError as fault:
                self._note_damage(segment, number, str(fault))
            else:
                yield record

    def _note_damage(self, segment: _Segment, line: int, why: str) -> None:
        damage = Damage(segment=segment.path.name, line=line, why=why)
        segment.damaged = True
        if damage not in self._damages:
            self._damages.append(damage)


def _line(record: Record) -> bytes:
    body = record_to_json(record).encode()
    return _PREFIX % zlib.crc32(body) + body + b"}\n"


def _record(line: bytes) -> Record:
    body = line[_PREFIX_LENGTH:-1]
    if line != _PREFIX % zlib.crc32(body) + body + b"}":
        raise ValueError("the checksum does not fit")
    return record_from_json(body)


def _write_whole(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
