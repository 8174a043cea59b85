"""The embedded server over its whole life, with real processes and real kills."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from persistence import binaries
from persistence.embedded import AlreadyRunning, EmbeddedFailed, EmbeddedPostgres
from persistence.orphans import stop_orphans

ROOT = Path(__file__).parents[2]
NOBODY = 65534
LIBRARIES = {**os.environ, "PYTHONPATH": str(Path(psycopg.__file__).parents[1])}

# Starts the server of argv[1], says how to reach it, writes rows if told, and waits to be killed.
STARTER = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import psycopg
from persistence.embedded import AlreadyRunning, EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
try:
    conninfo = server.start()
except AlreadyRunning as error:
    print(json.dumps({"already": str(error)}), flush=True)
    sys.exit(3)
with psycopg.connect(conninfo, autocommit=True) as conn:
    conn.execute("CREATE TABLE IF NOT EXISTS kept (n serial)")
    rows = 0
    for _ in range(50):
        conn.execute("INSERT INTO kept DEFAULT VALUES")
        rows += 1
print(json.dumps({"conninfo": conninfo, "pid": server.pid, "rows": rows}), flush=True)
sys.stdin.readline()
server.stop()
"""


@pytest.fixture
def own_server(state_dir: Path) -> Iterator[EmbeddedPostgres]:
    """A started server of this test's own."""
    server = EmbeddedPostgres(state_dir / "pg")
    server.start()
    yield server
    server.stop()


def starter(
    base: Path, interpreter: str = sys.executable, user: int | None = None, groups: list[int] | None = None
) -> subprocess.Popen[str]:
    """A process that runs the server of `base`; `user` None: as ourselves."""
    return subprocess.Popen(
        [interpreter, "-c", STARTER, str(base), str(ROOT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        user=user,
        group=user,
        extra_groups=groups if user is None else [],
        env=LIBRARIES,
    )


def said(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"the starter said nothing and ended with {process.wait(10)}"
    answer: dict[str, object] = json.loads(line)
    return answer


def end(process: subprocess.Popen[str]) -> None:
    """Let a starter stop in order, and close our ends."""
    process.communicate("\n", timeout=30)


def ask(conninfo: str, query: str) -> object:
    with psycopg.connect(conninfo) as conn:
        row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def permissions_up_to_root(path: Path) -> list[tuple[str, int, int]]:
    return [(str(p), p.stat().st_mode, p.stat().st_uid) for p in [path, *path.parents]]


def test_the_first_start_makes_a_private_careful_server(state_dir: Path) -> None:
    before = permissions_up_to_root(state_dir)
    server = EmbeddedPostgres(state_dir / "pg")
    conninfo = server.start()
    try:
        assert server.pid is not None
        assert os.getsid(server.pid) == server.pid
        assert ask(conninfo, "SHOW data_checksums") == "on"
        assert ask(conninfo, "SHOW listen_addresses") == ""
        assert ask(conninfo, "SHOW timezone") == "UTC"
        assert ask(conninfo, "SELECT datcollate FROM pg_database WHERE datname = current_database()") == "C.UTF-8"
        assert ask(conninfo, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
        password = (state_dir / "pg" / "pgpass").read_text().split(":")[4].split()[0]
        assert password not in conninfo
        assert stat.S_IMODE((state_dir / "pg" / "pgpass").stat().st_mode) == 0o600
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(conninfo, passfile="/dev/null")
    finally:
        server.stop()
    assert permissions_up_to_root(state_dir) == before
    assert not server.alive()
    assert "database system is shut down" in (state_dir / "pg" / "server.log").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to give up")
def test_as_root_the_server_is_nobody_with_one_right(state_dir: Path) -> None:
    process = starter(state_dir / "pg", groups=[4, 20])
    pid = int(str(said(process)["pid"]))
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert set(status["Uid"].split()) == {str((state_dir / "pg" / "pgdata").stat().st_uid)} != {"0"}
    assert "0" not in status["Gid"].split()
    assert int(status["CapEff"], 16) in (1 << 1, 1 << 2)
    assert status["Groups"].strip() == ""
    assert status["NoNewPrivs"].strip() == "1"
    end(process)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user")
def test_an_ordinary_user_and_root_take_turns() -> None:
    interpreter = interpreter_for_nobody()
    with tempfile.TemporaryDirectory() as home:
        os.chown(home, NOBODY, NOBODY)
        for user in (NOBODY, None, NOBODY):
            process = starter(Path(home) / "pg", interpreter=interpreter, user=user)
            answer = said(process)
            assert psutil.Process(int(str(answer["pid"]))).uids().real == NOBODY
            end(process)
            assert process.returncode == 0
        assert {p.stat().st_uid for p in (Path(home) / "pg").iterdir()} == {NOBODY}


def interpreter_for_nobody() -> str:
    """A python that an ordinary user may run here: ours often lies in root's home, then the system's."""
    for candidate in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        try:
            done = subprocess.run(
                [candidate, "-c", "import psycopg, psutil"], cwd="/", check=False, user=NOBODY, env=LIBRARIES
            )
        except OSError:
            continue
        if done.returncode == 0:
            return candidate
    pytest.skip("no interpreter here that an ordinary user may run")


def test_a_killed_postmaster_is_started_again(own_server: EmbeddedPostgres) -> None:
    assert own_server.ensure() is False
    with psycopg.connect(own_server.conninfo, autocommit=True) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 1 AS n")
        assert own_server.pid is not None
        os.kill(own_server.pid, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            while True:
                conn.execute("SELECT 1")
    while own_server.alive():
        os.sched_yield()
    assert own_server.ensure() is True
    assert own_server.ensure() is False
    assert ask(own_server.conninfo, "SELECT n FROM kept") == 1


def test_a_killed_parent_leaves_nothing_that_stops_the_next_start(state_dir: Path) -> None:
    process = starter(state_dir / "pg")
    answer = said(process)
    process.kill()
    process.communicate(timeout=10)
    orphan = psutil.Process(int(str(answer["pid"])))
    server = EmbeddedPostgres(state_dir / "pg")
    try:
        assert ask(server.start(), "SELECT count(*) FROM kept") == answer["rows"]
        assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
    finally:
        server.stop()


def test_a_stale_pid_file_of_a_living_stranger_is_no_server(own_server: EmbeddedPostgres, state_dir: Path) -> None:
    own_server.stop()
    data = state_dir / "pg" / "pgdata"
    owner = (
        data.stat().st_uid if os.geteuid() == 0 else None
    )  # a stranger of the server's own user: plain postgres stops
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, cwd="/", user=owner) as stranger:
        (data / "postmaster.pid").write_text(f"{stranger.pid}\n{data}\n1\n5432\n\n\n  1 2\n")
        assert ask(own_server.start(), "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.communicate()


def test_of_two_starters_one_is_told_who_the_other_is(own_server: EmbeddedPostgres, state_dir: Path) -> None:
    process = starter(state_dir / "pg")
    assert f"in use by pid {os.getpid()}" in str(said(process)["already"])
    process.communicate(timeout=10)
    assert process.returncode == 3
    with pytest.raises(AlreadyRunning, match=str(os.getpid())):
        EmbeddedPostgres(state_dir / "pg").start()
    assert ask(own_server.conninfo, "SELECT 1") == 1


def test_a_killed_initdb_leaves_nothing_half_made(state_dir: Path) -> None:
    half = state_dir / "pg" / "pgdata.init"
    half.mkdir(parents=True, mode=0o700)
    (half / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(state_dir / "pg")
    try:
        assert ask(server.start(), "SELECT 1") == 1
        assert not half.exists()
    finally:
        server.stop()


def test_a_path_too_long_for_a_socket_goes_elsewhere_and_is_tidied(state_dir: Path) -> None:
    deep = state_dir / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True, mode=0o700)
    server = EmbeddedPostgres(deep / "pg")
    try:
        assert ask(server.start(), "SELECT 1") == 1
        host = Path(str(psycopg.conninfo.conninfo_to_dict(server.conninfo)["host"]))
        assert not host.is_relative_to(state_dir)
        assert stat.S_IMODE(host.stat().st_mode) == 0o700
        assert server.pid is not None
        conninfo = server.conninfo
        os.kill(server.pid, signal.SIGKILL)
        while server.alive():
            os.sched_yield()
        assert server.ensure() is True
        assert server.conninfo == conninfo
        assert ask(conninfo, "SELECT 1") == 1
    finally:
        server.stop()
    assert not host.exists()


def test_data_of_another_major_version_is_refused(own_server: EmbeddedPostgres, state_dir: Path) -> None:
    own_server.stop()
    version = state_dir / "pg" / "pgdata" / "PG_VERSION"
    version.write_text("15\n")
    with pytest.raises(EmbeddedFailed, match=r"made by PostgreSQL 15.*binaries are 18"):
        own_server.start()
    version.write_text("18\n")
    assert ask(own_server.start(), "SELECT 1") == 1


def test_a_server_that_ends_at_once_says_why(state_dir: Path) -> None:
    server = EmbeddedPostgres(state_dir / "pg", server_settings={"shared_buffers": "nonsense"})
    with pytest.raises(EmbeddedFailed, match="shared_buffers"):
        server.start()
    server = EmbeddedPostgres(state_dir / "pg")
    try:
        assert ask(server.start(), "SELECT 1") == 1
    finally:
        server.stop()


def test_missing_binaries_are_named(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_PACKAGES", ("no_such_wheel",))
    with pytest.raises(EmbeddedFailed, match=r"no_such_wheel.*database\.url"):
        EmbeddedPostgres(state_dir / "pg").start()


def test_ensure_starts_what_could_not_be_started(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedPostgres(state_dir / "pg")
    with monkeypatch.context() as broken:
        broken.setattr(binaries, "_PACKAGES", ("no_such_wheel",))
        with pytest.raises(EmbeddedFailed):
            server.start()
    conninfo = server.conninfo
    try:
        assert server.ensure() is True
        assert ask(conninfo, "SELECT 1") == 1
    finally:
        server.stop()


def test_ensure_does_not_start_what_was_stopped(own_server: EmbeddedPostgres) -> None:
    own_server.stop()
    with pytest.raises(EmbeddedFailed, match="was stopped by this process"):
        own_server.ensure()


def test_data_that_went_away_are_never_made_anew_under_a_running_service(
    own_server: EmbeddedPostgres, state_dir: Path
) -> None:
    data, aside = state_dir / "pg" / "pgdata", state_dir / "pg" / "aside"
    assert own_server.pid is not None
    os.kill(own_server.pid, signal.SIGKILL)
    while own_server.alive():
        os.sched_yield()
    stop_orphans(data)
    data.rename(aside)
    with pytest.raises(EmbeddedFailed, match="gone while the service ran"):
        own_server.ensure()
    aside.rename(data)
    assert own_server.ensure() is True


def test_stopping_what_does_not_run_is_harmless(own_server: EmbeddedPostgres) -> None:
    own_server.stop()
    own_server.stop()
    assert ask(own_server.start(), "SELECT 1") == 1
