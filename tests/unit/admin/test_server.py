"""The control socket under real clients, good, bad and absent ones."""

import contextlib
import json
import os
import random
import select
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from adapters.admin.client import AdminClient, NoService
from adapters.admin.protocol import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    MAX_LINE_BYTES,
    METHOD_NOT_FOUND,
    NOT_NOW,
    PARSE_ERROR,
    REFUSED,
    UNKNOWN_ID,
    AdminError,
)
from adapters.admin.server import AdminServer
from tests.unit.admin.conftest import Serve, SmallService, answers


def raw(server: AdminServer) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(10)
    connection.connect(str(server.path))
    return connection


def read_line(connection: socket.socket) -> dict[str, object]:
    with connection.makefile("rb") as lines:
        answer: dict[str, object] = json.loads(lines.readline())
    return answer


def error_of(call: Callable[[], object]) -> AdminError:
    with pytest.raises(AdminError) as caught:
        call()
    return caught.value


def test_a_call_is_answered_and_the_caller_is_known(client: AdminClient, small: SmallService) -> None:
    assert client.call("echo", {"text": "äö", "list": [1, "2"]}) == {"text": "äö", "list": [1, "2"]}
    assert client.call("money") == {"amount": "1000", "small": "0.00000001", "at": "2026-01-02T03:00:00.000Z"}
    method, caller = small.calls[0]
    assert (method, caller.uid, caller.pid) == ("echo", os.geteuid(), os.getpid())


def test_errors_carry_code_message_and_figures(client: AdminClient) -> None:
    refused = error_of(lambda: client.call("refuse"))
    assert (refused.code, refused.message) == (REFUSED, "spread too wide")
    assert refused.data == {"spread_pct": "0.3", "limit_pct": "0.1"}
    assert error_of(lambda: client.call("show", {"id": 17})).code == UNKNOWN_ID
    assert error_of(lambda: client.call("nothing")).code == METHOD_NOT_FOUND
    bad = error_of(lambda: client.call("show", {"id": "x"}))
    assert (bad.code, bad.message) == (INVALID_PARAMS, "id = x: must be a number")


@pytest.mark.parametrize("method", ["fail", "exit", "odd", "nan"])
def test_a_failure_inside_is_answered_without_its_text_and_the_service_lives(client: AdminClient, method: str) -> None:
    failed = error_of(lambda: client.call(method))
    assert failed.code == INTERNAL_ERROR
    assert "hunter2" not in failed.message
    assert client.call("echo", {}) == {}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"not json\n", PARSE_ERROR),
        (b"\xff\xff\n", PARSE_ERROR),
        (b"[1]\n", INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"method":"echo","params":[]}\n', INVALID_PARAMS),
        (b"x" * (MAX_LINE_BYTES + 1) + b"\n", INVALID_REQUEST),
        (b"x" * (5 * MAX_LINE_BYTES) + b"\n", INVALID_REQUEST),
    ],
)
def test_a_bad_line_is_answered_and_the_connection_goes_on(server: AdminServer, line: bytes, code: int) -> None:
    with raw(server) as connection:
        connection.sendall(line)
        error = read_line(connection)["error"]
        assert isinstance(error, dict)
        assert error["code"] == code
        connection.sendall(b'\n  \n{"jsonrpc":"2.0","id":2,"method":"echo","params":{}}\n')
        assert read_line(connection) == {"jsonrpc": "2.0", "id": 2, "result": {}}


def test_a_line_of_the_greatest_length_is_taken(client: AdminClient) -> None:
    text = "x" * (MAX_LINE_BYTES - 200)
    assert client.call("echo", {"text": text}) == {"text": text}


def test_a_line_without_end_is_cut_off(server: AdminServer) -> None:
    with raw(server) as connection, pytest.raises(OSError):
        for _ in range(64):
            connection.sendall(b"x" * MAX_LINE_BYTES)
    assert answers(server)


def test_messages_in_pieces_and_several_in_one_are_understood(server: AdminServer) -> None:
    request = b'{"jsonrpc":"2.0","id":%d,"method":"echo","params":{}}\n'
    with raw(server) as connection, connection.makefile("rb") as lines:
        for byte in request % 1:
            connection.sendall(bytes([byte]))
        assert json.loads(lines.readline())["id"] == 1
        connection.sendall(b"".join(request % number for number in range(2, 50)))
        assert [json.loads(lines.readline())["id"] for _ in range(2, 50)] == list(range(2, 50))


def test_half_a_message_and_gone_harms_nobody(server: AdminServer, small: SmallService) -> None:
    for _ in range(20):
        with raw(server) as connection:
            connection.sendall(b'{"jsonrpc":"2.0","id":1,"meth')
    assert answers(server)
    assert [method for method, _ in small.calls] == ["echo"]


def test_a_notification_is_carried_out_and_not_answered(server: AdminServer, small: SmallService) -> None:
    with raw(server) as connection:
        connection.sendall(b'{"jsonrpc":"2.0","method":"fail"}\n{"jsonrpc":"2.0","id":3,"method":"echo"}\n')
        assert read_line(connection)["id"] == 3
    assert [method for method, _ in small.calls] == ["fail", "echo"]


def test_a_blocked_call_holds_up_nobody_else(server: AdminServer, small: SmallService) -> None:
    with raw(server) as waiting:
        waiting.sendall(b'{"jsonrpc":"2.0","id":1,"method":"blocked"}\n')
        assert small.blocked.acquire(timeout=10)
        assert answers(server)
        small.gate.set()
        assert read_line(waiting)["result"] == "done"


def test_a_reader_that_does_not_read_is_cut_off(serve: Serve) -> None:
    server = serve(slow_reader_s=0.05)
    with raw(server) as connection:
        connection.sendall(b'{"jsonrpc":"2.0","id":1,"method":"big"}\n')
        hung_up = select.poll()
        hung_up.register(connection, 0)
        assert hung_up.poll(10_000), "the server did not let go"
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(1 << 20):
                received += len(chunk)
    assert received < 4 << 20
    assert answers(server)


def test_a_big_reply_to_a_slow_but_living_reader_arrives_whole(client: AdminClient) -> None:
    assert len(client.call("big")) == 4 << 20


def test_a_client_that_says_nothing_is_let_go(serve: Serve) -> None:
    server = serve(idle_s=0.05)
    with raw(server) as connection:
        assert connection.recv(1) == b""


def test_too_many_clients_are_told_so(serve: Serve) -> None:
    server = serve(max_clients=2)
    with AdminClient(server.path) as first, AdminClient(server.path) as second:
        assert first.call("echo", {}) == second.call("echo", {}) == {}
        with raw(server) as third:
            error = read_line(third)["error"]
            assert isinstance(error, dict)
            assert error["code"] == NOT_NOW
        assert first.call("echo", {}) == {}


def test_many_clients_at_once_each_get_their_own_answer(server: AdminServer) -> None:
    wrong: list[object] = []

    def ask(number: int) -> None:
        with AdminClient(server.path, timeout_s=20) as client:
            for count in range(5):
                answer = client.call("echo", {"n": number, "c": count})
                if answer != {"n": number, "c": count}:
                    wrong.append(answer)

    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


def test_a_stream_goes_on_until_the_client_hangs_up(server: AdminServer, small: SmallService) -> None:
    with AdminClient(server.path, timeout_s=10) as client:
        stream = client.follow("ticks")
        assert [next(stream)["tick"] for _ in range(3)] == [1, 3, 5]
    assert small.closed.wait(10)
    assert answers(server)


def test_stop_ends_streams_and_lets_idle_clients_go(serve: Serve, small: SmallService) -> None:
    server = serve()
    with AdminClient(server.path, timeout_s=10) as idle, AdminClient(server.path, timeout_s=10) as follower:
        stream = follower.follow("ticks")
        next(stream)
        stopper = threading.Thread(target=server.stop, daemon=True)
        stopper.start()
        assert sum(1 for _ in stream) >= 0
        stopper.join(10)
        assert not stopper.is_alive()
        assert small.closed.is_set()
        with pytest.raises(NoService, match="hung up"):
            idle.call("echo", {})
    assert not server.path.exists()
    assert not server.serving
    server.stop()


def test_a_server_whose_file_was_removed_or_replaced_knows_that_nobody_finds_it(serve: Serve) -> None:
    server = serve()
    found = [server.reachable]
    aside = server.path.with_name("aside")
    server.path.rename(aside)
    found.append(server.reachable)
    server.path.touch()
    found.append(server.reachable)
    assert server.serving
    aside.replace(server.path)
    found.append(server.reachable)
    server.stop()
    found.append(server.reachable)
    assert found == [True, False, False, True, False]


def test_stop_delivers_the_answer_under_way(serve: Serve, small: SmallService) -> None:
    server = serve()
    with raw(server) as connection:
        connection.sendall(b'{"jsonrpc":"2.0","id":1,"method":"blocked"}\n')
        assert small.blocked.acquire(timeout=10)
        stopper = threading.Thread(target=server.stop, args=(10,), daemon=True)
        stopper.start()
        small.gate.set()
        assert read_line(connection)["result"] == "done"
        stopper.join(10)
        assert not stopper.is_alive()


def test_stop_delivers_a_big_answer_whole(serve: Serve) -> None:
    server = serve()
    with raw(server) as connection:
        connection.sendall(b'{"jsonrpc":"2.0","id":1,"method":"big"}\n')
        received = len(connection.recv(1))
        stopper = threading.Thread(target=server.stop, args=(10,), daemon=True)
        stopper.start()
        while chunk := connection.recv(1 << 16):
            received += len(chunk)
        stopper.join(10)
    assert received > 4 << 20


def test_stop_does_not_wait_for_clients_that_say_nothing(serve: Serve) -> None:
    server = serve()
    with AdminClient(server.path, timeout_s=10) as idle:
        assert idle.call("echo", {}) == {}
        begun = time.monotonic()
        server.stop(drain_s=10)
        assert time.monotonic() - begun < 5


def test_stop_does_not_wait_for_ever_for_a_call_that_hangs(serve: Serve, small: SmallService) -> None:
    server = serve()
    with raw(server) as connection:
        connection.sendall(b'{"jsonrpc":"2.0","id":1,"method":"blocked"}\n')
        assert small.blocked.acquire(timeout=10)
        server.stop(drain_s=0.05)
        assert not server.serving
        assert connection.recv(1) == b""


def test_a_server_can_be_started_again(serve: Serve) -> None:
    server = serve()
    server.stop()
    server.start()
    assert answers(server)


def test_whoever_says_nothing_makes_room_for_whoever_asks(serve: Serve) -> None:
    server = serve(max_clients=2, spare_idle_s=0.0)
    with raw(server) as half, AdminClient(server.path) as second:
        half.sendall(b'{"jsonrpc":"2.0","id":1,"meth')
        assert second.call("echo", {}) == {}
        assert answers(server), "a third is served"
        assert half.recv(1) == b"", "the one that was silent for the longest time is let go"


def test_whoever_waits_for_an_answer_makes_no_room(serve: Serve, small: SmallService) -> None:
    server = serve(max_clients=1, spare_idle_s=0.0)
    with raw(server) as waiting:
        waiting.sendall(b'{"jsonrpc":"2.0","id":1,"method":"blocked"}\n')
        assert small.blocked.acquire(timeout=10)
        with raw(server) as second:
            assert "error" in read_line(second)
        small.gate.set()
        assert read_line(waiting)["result"] == "done"


def test_gone_in_the_middle_of_an_answer(server: AdminServer) -> None:
    for number in range(30):
        with raw(server) as connection:
            connection.sendall(b'{"jsonrpc":"2.0","id":1,"method":"big"}\n')
            if number % 2:
                connection.recv(1000)
    assert answers(server)


def test_lines_without_end_take_bounded_memory(serve: Serve) -> None:
    server = serve(idle_s=20.0)
    process, piece = psutil.Process(), b"x" * MAX_LINE_BYTES
    before = process.memory_info().rss
    connections = [raw(server) for _ in range(16)]
    for connection in connections:
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(8):
                connection.send(piece)
    assert answers(server)
    assert process.memory_info().rss - before < 16 * 4 * MAX_LINE_BYTES
    for connection in connections:
        connection.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_not_heard(small: SmallService) -> None:
    """Even where the file's mode would let him in."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        server = AdminServer(Path(folder) / "s.sock", small)
        server.start()
        try:
            server.path.chmod(0o666)
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    os.setuid(65534)
                    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                    connection.settimeout(10)
                    connection.connect(str(server.path))
                    with contextlib.suppress(BrokenPipeError):
                        connection.sendall(b'{"jsonrpc":"2.0","id":1,"method":"echo"}\n')
                    try:
                        code = 0 if connection.recv(100) == b"" else 2
                    except ConnectionResetError:
                        code = 0
                finally:
                    os._exit(code)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert small.calls == []
            assert answers(server)
        finally:
            server.stop()


@pytest.mark.parametrize("seed", range(6))
def test_noise_of_many_clients_leaves_the_server_whole(server: AdminServer, seed: int) -> None:
    choose = random.Random(seed)
    pieces = [
        b"\n",
        b"{}",
        b'{"jsonrpc":"2.0","id":1,"method":"echo"}\n',
        b'{"jsonrpc":"2.0","id":1,"method":"fail"}\n',
        b'{"jsonrpc":"2.0","method":"ticks"}\n',
        b'{"jsonrpc":"2.0","id":null,"method":"echo","params":{"id":1e400}}\n',
        b"[" * 5000 + b"\n",
        b"\x00\xff" * 50,
        b"y" * (MAX_LINE_BYTES // 2),
    ]
    connections = [raw(server) for _ in range(10)]
    for _ in range(150):
        connection = choose.choice(connections)
        noise = choose.choice(pieces)
        connection.setblocking(False)
        try:
            connection.send(noise[: choose.randrange(1, len(noise) + 1)])
            if choose.random() < 0.3:
                connection.recv(choose.randrange(1, 1000))
        except OSError:  # full, empty or cut off: all of these are meant to happen
            connection.close()
            connections.remove(connection)
            connections.append(raw(server))
    for connection in connections:
        connection.close()
    assert answers(server)
    assert server.serving
