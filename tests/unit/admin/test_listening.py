"""Taking the socket's path: whose it is, how long, what lay there before."""

import errno
import fcntl
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from adapters.admin.client import AdminClient, NoService
from adapters.admin.listening import MAX_PATH_BYTES, SocketRefused
from adapters.admin.server import AdminServer
from tests.unit.admin.conftest import Serve, SmallService, answers


def test_the_socket_is_the_owners_alone(server: AdminServer) -> None:
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can speak as another user")
def test_another_user_is_not_heard(server: AdminServer, small: SmallService) -> None:
    server.path.chmod(0o666)
    for folder in (server.path.parent, *server.path.parent.parents[:3]):
        folder.chmod(0o755)
    program = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534); s = socket.socket(socket.AF_UNIX); "
        's.connect(sys.argv[1]); s.sendall(b\'{"jsonrpc":"2.0","id":1,"method":"echo"}\\n\'); '
        "sys.stdout.write(repr(s.recv(100)))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(server.path)], capture_output=True, text=True, timeout=20, check=False
    )
    assert told.stdout == "b''" or "ConnectionResetError" in told.stderr or "BrokenPipeError" in told.stderr, told
    assert small.calls == []


def test_a_path_that_is_too_long_is_refused_with_the_reason(tmp_path: Path, small: SmallService) -> None:
    path = tmp_path / ("x" * 120)
    with pytest.raises(SocketRefused, match=f"may have {MAX_PATH_BYTES} bytes, this one has .*service.state_dir"):
        AdminServer(path, small).start()
    with pytest.raises(NoService, match="no service is running"):
        AdminClient(path)


def test_the_longest_path_works(tmp_path: Path, small: SmallService) -> None:
    path = tmp_path / ("x" * (MAX_PATH_BYTES - len(str(tmp_path)) - 1))
    server = AdminServer(path, small)
    server.start()
    assert answers(server)
    server.stop()


def test_a_dead_socket_file_is_replaced(tmp_path: Path, small: SmallService) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    server = AdminServer(path, small)
    server.start()
    assert answers(server)
    server.stop()
    assert not path.exists()


def test_a_living_socket_is_not_taken_over(server: AdminServer, small: SmallService) -> None:
    with pytest.raises(SocketRefused, match="another process is listening"):
        AdminServer(server.path, small).start()
    with pytest.raises(SocketRefused, match="already started"):
        server.start()
    assert answers(server)


def test_a_file_of_another_kind_is_left_alone(tmp_path: Path, small: SmallService) -> None:
    path = tmp_path / "s.sock"
    path.write_text("precious")
    with pytest.raises(SocketRefused, match="a file of another kind"):
        AdminServer(path, small).start()
    assert path.read_text() == "precious"


def test_a_missing_folder_is_refused(tmp_path: Path, small: SmallService) -> None:
    with pytest.raises(SocketRefused, match=os.strerror(errno.ENOENT)):
        AdminServer(tmp_path / "nowhere" / "s.sock", small).start()


def test_the_successors_socket_survives_our_stop(serve: Serve, small: SmallService) -> None:
    first = serve()
    first.path.unlink()
    successor = AdminServer(first.path, small)
    successor.start()
    first.stop()
    assert answers(successor)
    successor.stop()


def test_of_many_that_open_one_path_at_once_one_wins(tmp_path: Path, small: SmallService) -> None:
    servers = [AdminServer(tmp_path / "s.sock", small) for _ in range(8)]
    refusals: list[SocketRefused] = []

    def start(server: AdminServer) -> None:
        try:
            server.start()
        except SocketRefused as refused:
            refusals.append(refused)

    threads = [threading.Thread(target=start, args=(server,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(refusals) == 7
    assert answers(servers[0])
    for server in servers:
        server.stop()


def test_looking_for_a_listener_and_becoming_one_is_one_step(tmp_path: Path, small: SmallService) -> None:
    server = AdminServer(tmp_path / "s.sock", small)
    starting = threading.Thread(target=server.start, daemon=True)
    with (tmp_path / "s.sock.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        starting.start()
        starting.join(0.2)
        assert starting.is_alive()
        assert not server.path.exists()
    starting.join(10)
    assert answers(server)
    server.stop()
