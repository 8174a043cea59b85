"""A program of its own: give up root and become the given program, as PostgreSQL refuses to run as root.

    python -I -S unprivileged.py UID GID PROGRAM ARGUMENT …

One capability stays (ambient, so that it outlives exec): to search directories. The state directory and often the
virtual environment lie below directories that only root may enter, and nobody's permissions there are changed for us.
A launcher of its own, since code between fork and exec is not safe in a process with threads.
"""

import ctypes
import os
import sys

_PR_SET_KEEPCAPS = 8
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _permitted(libc: ctypes.CDLL) -> int:
    header, sets = _Header(_CAPABILITY_VERSION_3, 0), (_Sets * 2)()
    _call(libc, "capget", ctypes.byref(header), sets)
    return int(sets[0].permitted)


def _keep_only(libc: ctypes.CDLL, capability: int) -> None:
    header, sets = _Header(_CAPABILITY_VERSION_3, 0), (_Sets * 2)()
    sets[0] = _Sets(1 << capability, 1 << capability, 1 << capability)
    _call(libc, "capset", ctypes.byref(header), sets)
    _call(libc, "prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def _call(libc: ctypes.CDLL, name: str, *arguments: object) -> None:
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def become(uid: int, gid: int) -> None:
    """Be `uid` and `gid` for good, able to search any directory, and to gain nothing by a set-uid program.

    A container often lacks the right that is enough (read and search); then the wider one is kept, without either
    none: where every directory on the way is open, that does as well. Raises OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    held = _permitted(libc)
    wanted = [c for c in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE) if held & 1 << c]
    _call(libc, "prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if wanted:
        _keep_only(libc, wanted[0])
    _call(libc, "prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


if __name__ == "__main__":
    become(int(sys.argv[1]), int(sys.argv[2]))
    os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606 - this is what the program is for
