"""Taking a path as our socket, safely: not too long, not somebody's, readable by its owner alone."""

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# sockaddr_un.sun_path of Linux without its closing zero (unix(7)).
MAX_PATH_BYTES = 107
BACKLOG = 128


class SocketRefused(Exception):
    """The control socket cannot be opened; the message says why and what to do."""


def listen(path: Path) -> socket.socket:
    """A listening socket at `path`, mode 0600. A dead file there is replaced. Raises SocketRefused."""
    length = len(os.fsencode(path))
    if length > MAX_PATH_BYTES:
        raise SocketRefused(
            f"{path}: a socket's path may have {MAX_PATH_BYTES} bytes, this one has {length}; "
            "set service.state_dir to a shorter one"
        )
    try:
        with _sole_opener(path):
            _clear(path)
            return _bound(path)
    except OSError as error:
        raise SocketRefused(f"{path}: {error.strerror}") from error


def identity(path: Path) -> tuple[int, int] | None:
    """What tells this file from a later one of the same name; None if it is gone."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def _sole_opener(path: Path) -> Iterator[None]:
    """Between looking for a listener and being one, nobody else does the same."""
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _clear(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SocketRefused(f"{path}: there is a file of another kind; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        answer = probe.connect_ex(str(path))
    if answer == errno.ECONNREFUSED:
        path.unlink()
    elif answer != errno.ENOENT:  # also EAGAIN: a listener whose queue is full
        raise SocketRefused(f"{path}: another process is listening there")


def _bound(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), 0o600)  # before it has a name: at no instant may anyone else connect
        listener.bind(str(path))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
